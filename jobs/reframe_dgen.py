# SPDX-License-Identifier: MIT OR Apache-2.0
"""A test for ReFrame: ranks write one file, other ranks verify it, and bandwidth is compared.

    reframe -c jobs/reframe_dgen.py -r -S DGenTest.output=/scratch/me/reframe.dat \
        -S DGenTest.size=1TiB -S DGenTest.num_tasks=64

A site gives its references for bandwidth in a class of its own::

    @rfm.simple_test
    class Scratch(DGenTest):
        output = "/scratch/me/reframe.dat"
        reference = {"cluster:batch": {"write": (20, -0.1, None, "GiB/s")}}
"""

# ReFrame keeps settings as attributes of classes.
# ruff: noqa: RUF012

import json
import shlex
from pathlib import Path

import reframe as rfm
import reframe.utility.sanity as sn
from reframe.core.builtins import (
    parameter,
    performance_function,
    run_after,
    run_before,
    sanity_function,
    variable,
)


@rfm.simple_test
class DGenTest(rfm.RunOnlyRegressionTest):
    """Data that does not compress and data that does: written, verified, removed."""

    descr = "dgen-mpi: one shared file through MPI-IO, every byte verified"
    valid_systems = ["*"]
    valid_prog_environs = ["*"]
    executable = "dgen-mpi"
    num_tasks = 4

    compress_ratio = parameter(["1", "2"])
    size = variable(str, value="256MiB")
    """How much is written; several times the memory of the nodes, for the storage alone."""
    output = variable(str, value="reframe.dat")
    """The file; in the folder of the test, if it is relative."""
    transfer_size = variable(str, value="4MiB")
    # What a site expects: (GiB/s, lower bound, upper bound, unit). None is enforced here.
    reference = {"*": {"write": (0, None, None, "GiB/s"), "verify": (0, None, None, "GiB/s")}}

    @run_after("init")
    def make_names(self) -> None:
        """Give each ratio a file of its own."""
        self.data = f"{self.output}.compress{self.compress_ratio}"

    @run_before("run")
    def make_commands(self) -> None:
        """Write with the ranks of the test; verify and remove afterwards."""
        self.executable_opts = [
            "generate",
            f"--output={shlex.quote(self.data)}",
            f"--size={self.size}",
            f"--compress-ratio={self.compress_ratio}",
            f"--transfer-size={self.transfer_size}",
            "--overwrite",
            "--report=write.json",
        ]
        launch = self.job.launcher.run_command(self.job)
        data = shlex.quote(self.data)
        self.postrun_cmds = [
            f"{launch} {self.executable} verify {data} --report=verify.json",
            f"rm -f {data} {data}.dgen.json",
        ]

    def report(self, name: str) -> dict:
        """Return what the program said of one of its two runs."""
        path = Path(self.stagedir) / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8"))

    @sanity_function
    def every_byte_is_right(self) -> bool:
        """Check that both runs ended well."""
        return sn.all(
            sn.assert_eq(report["status"], "ok", f"{name}: {report.get('error')}")
            for name, report in ((name, self.report(name)) for name in ("write", "verify"))
        )

    @performance_function("GiB/s")
    def write(self) -> float:
        """Return the bandwidth of the write, stable storage included."""
        return self.report("write")["operations"][0]["bytes_per_second"] / 2**30

    @performance_function("GiB/s")
    def verify(self) -> float:
        """Return the bandwidth of the verification."""
        return self.report("verify")["operations"][0]["bytes_per_second"] / 2**30
