# SPDX-License-Identifier: MIT OR Apache-2.0
"""The ReFrame test of `jobs`, run by ReFrame."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, missing, only_whole

CONFIGURATION = """
site_configuration = {
    "systems": [{
        "name": "here", "hostnames": [".*"],
        "partitions": [{
            "name": "local", "scheduler": "local", "launcher": "mpirun", "environs": ["builtin"],
        }],
    }],
    "environments": [{"name": "builtin"}],
}
"""


def reframe(folder: Path, program: str, *arguments: str, check: Path) -> tuple[int, Any, str]:
    """Run ReFrame; return its status, its report and what it printed."""
    script = Path(sys.executable).with_name("reframe")
    if not script.exists():
        missing("there is no reframe (ReFrame-HPC)")
    (folder / "site.py").write_text(CONFIGURATION)
    (folder / "bin").mkdir(exist_ok=True)
    if not (folder / "bin/dgen-mpi").exists():
        (folder / "bin/dgen-mpi").symlink_to(program)
    done = subprocess.run(
        [script, "-C", "site.py", "-c", check, "-r", "--report-file", "report.json", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
            "OMPI_MCA_rmaps_base_oversubscribe": "1",
            "RFM_PREFIX": str(folder / "reframe"),
        },
    )
    report = json.loads((folder / "report.json").read_text())
    return done.returncode, report, done.stdout + done.stderr


def test_writes_verifies_and_measures(program: str, tmp_path: Path) -> None:
    """Both ratios pass, and their bandwidths are in ReFrame's report."""
    status, report, said = reframe(
        tmp_path, program, "-S", "DGenTest.size=16MiB", check=ROOT / "jobs/reframe_dgen.py"
    )
    assert status == 0, said
    cases = report["runs"][-1]["testcases"]
    assert len(cases) == 2
    for case in cases:
        assert case["result"] == "pass"
        measured = json.dumps(case["perfvalues"])
        assert "write" in measured
        assert "verify" in measured


@only_whole
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ('output = "/no/such/folder/data"', "no such"),
        ('reference = {"*": {"write": (1e6, -0.1, None, "GiB/s")}}', "performance"),
    ],
)
def test_failures_and_slow_storage_fail(
    setting: str, said: str, program: str, tmp_path: Path
) -> None:
    """A site's own class: a write that fails, and one that is slower than the reference."""
    check = tmp_path / "site_check.py"
    check.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'jobs')!r})\n"
        "import reframe as rfm\nfrom reframe_dgen import DGenTest\n"
        f'@rfm.simple_test\nclass Site(DGenTest):\n    size = "8MiB"\n    {setting}\n'
    )
    status, _report, output = reframe(tmp_path, program, "-n", "Site", check=check)
    assert status != 0
    assert said in output.lower()
