# SPDX-License-Identifier: MIT OR Apache-2.0
"""Campaigns on a Slurm of one node, which the test starts: by PSI/J, and by `sbatch`."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Command, missing, only_whole, states

from dgen_mpi import DataSpec

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={port}
SlurmdPort={other_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
# No control groups, no accounting: what a container has.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
# More processors than there are, so that several jobs run at the same time.
SlurmdParameters=config_overrides
SchedulerType=sched/builtin
KillWait=10
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=batch Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""

CAMPAIGN = """
name: cluster
output: "{name}.dat"
size: 5000001
seed: 7
ranks: [1, 2, 3]
launcher_arguments: [--oversubscribe]
time_limit: 2m
partition: batch
overwrite: true
steps:
  - {operation: generate}
  - {operation: verify, ranks: 2}
"""


def free_port() -> int:
    """Return a port that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start munge, the controller and one node; returns the environment for commands."""
    for name in ("munged", "slurmctld", "slurmd", "sbatch"):
        if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            missing(f"there is no {name} (apt-get install slurm-wlm munge)")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    environment = {
        **os.environ,
        "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
        "SLURM_CONF": str(folder / "slurm.conf"),
    }
    (folder / "slurm.conf").write_text(
        CONFIGURATION.format(
            host=socket.gethostname().split(".")[0],
            user=getpass.getuser(),
            folder=folder,
            port=free_port(),
            other_port=free_port(),
        )
    )

    def start(*command: str) -> subprocess.Popen[bytes]:
        with (folder / f"{command[0]}.out").open("wb") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    running = [
        start(
            "munged",
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munged.pid",
            f"--log-file={folder}/munged.log",
            f"--seed-file={folder}/munge.seed",
        )
    ]
    try:
        running += [start("slurmctld", "-D"), start("slurmd", "-D")]
        deadline = time.monotonic() + 60
        state = ""
        while not state.startswith("idle"):
            if time.monotonic() > deadline:
                logs = "".join(path.read_text()[-2000:] for path in folder.glob("*.log"))
                pytest.fail(f"Slurm did not start: {state}\n{logs}")
            time.sleep(0.2)
            state = subprocess.run(
                ["sinfo", "-h", "-o", "%T"],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            ).stdout
        yield environment
    finally:
        for process in reversed(running):
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def test_campaign_is_submitted_watched_and_reported(
    slurm: dict[str, str], dgen: Command, tmp_path: Path
) -> None:
    """Three jobs by PSI/J, to their end; submitting again submits nothing."""
    (tmp_path / "cluster.yaml").write_text(CAMPAIGN)
    submitted = json.loads(dgen("submit", "cluster.yaml", "--json", env=slurm).stdout)
    assert set(submitted["jobs"]) == {"ranks1", "ranks2", "ranks3"}
    queue = subprocess.run(
        ["squeue", "-h", "-t", "all", "-o", "%A %j"],
        env=slurm,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.split("\n")
    for case, native in submitted["jobs"].items():
        assert f"{native} cluster-{case}" in queue
    ended = states(dgen("status", "cluster", "--wait", "--json", env=slurm))
    assert {case["state"] for case in ended.values()} == {"done"}
    expected = bytearray(5000001)
    DataSpec(5000001, 7).fill(expected)
    for ranks in (1, 2, 3):
        assert (tmp_path / f"ranks{ranks}.dat").read_bytes() == expected
    again = json.loads(dgen("submit", "cluster.yaml", "--json", env=slurm).stdout)
    assert again["jobs"] == {}
    shown = dgen("report", "cluster", "--plot", "ranks.png", env=slurm).stdout
    assert shown.count("verify") == 6
    assert (tmp_path / "ranks.png").read_bytes().startswith(b"\x89PNG")


@only_whole
def test_rendered_scripts_are_taken_by_sbatch(
    slurm: dict[str, str], dgen: Command, tmp_path: Path
) -> None:
    """Without PSI/J; a run that goes over its limit is told to stop before, and says so."""
    (tmp_path / "cluster.yaml").write_text(CAMPAIGN)
    scripts = json.loads(dgen("render", "cluster.yaml", "--json").stdout)["scripts"]
    for path in scripts:
        subprocess.run(["sbatch", "--wait", path], env=slurm, timeout=120, check=True)
    assert {case["state"] for case in states(dgen("status", "cluster", "--json")).values()} == {
        "done"
    }
    log = (tmp_path / "cluster/ranks2/log.txt").read_text()
    assert "every byte is right" in log

    (tmp_path / "long.yaml").write_text(
        f'name: long\noutput: long.dat\nsize: 1MiB\nlauncher: "{tmp_path}/launch {{ranks}}"\n'
        "time_limit: 1m\nstop_before: 55s\n"
    )
    # What runs into its limit, and writes a valid report when it is told to stop.
    launch = tmp_path / "launch"
    launch.write_text(
        "#!/bin/bash\n"
        "report=${*: -1}; report=${report#--report=}\n"
        'said=\'{"exit_status" : 5, "status": "interrupted"}\'\n'
        'trap \'echo "$said" > "$report"; exit 5\' TERM\n'
        "sleep 100 & wait\n"
    )
    launch.chmod(0o755)
    (path,) = json.loads(dgen("render", "long.yaml", "--json").stdout)["scripts"]
    started = time.monotonic()
    subprocess.run(["sbatch", "--wait", path], env=slurm, timeout=120, check=False)
    assert time.monotonic() - started < 58
    assert states(dgen("status", "long", "--json", status=5))["all"]["state"] == "interrupted"


@only_whole
def test_cancelled_and_failed_jobs_are_shown_as_such(
    slurm: dict[str, str], dgen: Command, tmp_path: Path
) -> None:
    """A job that cannot write, and two that wait and are cancelled: by us, and behind our back."""
    failing = CAMPAIGN.replace('"{name}.dat"', '"no-such-folder/{name}"').replace(
        "name: cluster", "name: failing"
    )
    (tmp_path / "failing.yaml").write_text(failing.replace("[1, 2, 3]", "[2]"))
    failed = states(dgen("submit", "failing.yaml", "--wait", "--json", env=slurm, status=3))
    assert failed["ranks2"]["state"] == "failed"
    assert "no such" in failed["ranks2"]["reason"].lower()

    # They wait for what the node has not.
    waiting = (
        CAMPAIGN.replace("name: cluster", "name: waiting") + "directives: [--begin=now+1hour]\n"
    )
    (tmp_path / "waiting.yaml").write_text(waiting.replace("[1, 2, 3]", "[1, 2]"))
    jobs = json.loads(dgen("submit", "waiting.yaml", "--json", env=slurm).stdout)["jobs"]
    queued = states(dgen("status", "waiting", "--json", env=slurm))
    assert {case["state"] for case in queued.values()} == {"queued"}
    # Nobody starts here what the batch system has.
    assert "slurm has it" in dgen("run", "waiting.yaml", env=slurm, status=3).stderr
    assert "ranks1: cancelled" in dgen("cancel", "waiting", "ranks1", env=slurm).stdout
    subprocess.run(["scancel", jobs["ranks2"]], env=slurm, check=True, timeout=60)
    ended = states(dgen("status", "waiting", "--wait", "--json", env=slurm, status=5))
    assert {case["state"] for case in ended.values()} == {"cancelled"}
    # A folder that is asked later still knows, without a batch system.
    assert "cancelled" in dgen("status", "waiting", status=5).stdout
    # What was cancelled may be run here.
    (tmp_path / "waiting.yaml").write_text(waiting.replace("[1, 2, 3]", "[1, 2]"))
    assert {case["state"] for case in states(dgen("run", "waiting.yaml", "--json")).values()} == {
        "done"
    }


def test_refusals_of_the_batch_system_are_told(
    slurm: dict[str, str], dgen: Command, tmp_path: Path
) -> None:
    """In one line, with its words."""
    (tmp_path / "cluster.yaml").write_text(CAMPAIGN.replace("partition: batch", "partition: none"))
    refused = dgen("submit", "cluster.yaml", env=slurm, status=2).stderr
    assert "invalid partition" in refused.lower()
    assert len(refused.strip().splitlines()) == 1
    unknown = dgen("submit", "cluster.yaml", "--executor", "cron", env=slurm, status=2).stderr
    assert "executor: 'cron' is not accepted; give one of" in unknown


@pytest.mark.parametrize("interface", ["pmix", "pmi2", "none"])
@pytest.mark.parametrize(
    ("library", "fits"), [("libmpi.so.40", "pmix"), ("libmpich.so.12", "pmi2")]
)
def test_a_step_works_or_is_told_what_to_give_srun(
    slurm: dict[str, str], tmp_path: Path, program: str, library: str, fits: str, interface: str
) -> None:
    """With each interface and each library of the system: status 0, or 4 in one line."""
    done = subprocess.run(
        ["srun", f"--mpi={interface}", "-n", "3", program, "-o", tmp_path / "f", "-s", "1MiB"],
        env={**slurm, "DGEN_MPI_LIBRARY": library},
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = [line for line in done.stderr.splitlines() if "dgen-mpi: error:" in line]
    if interface == fits:
        assert (done.returncode, said) == (0, [])
        assert (tmp_path / "f").stat().st_size == 1 << 20
    else:
        assert done.returncode == 4
        assert len(said) == 1
        assert f"give srun --mpi={fits}" in said[0]
        assert not (tmp_path / "f").exists()
