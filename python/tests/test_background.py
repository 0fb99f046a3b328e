# SPDX-License-Identifier: MIT OR Apache-2.0
"""Jobs in the background of this machine: cancelled for good, killed, asked after."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import cases

from dgen_mpi import cli
from dgen_mpi.jobs import BatchSystem, CampaignFolder, JobError, State, background

LAUNCHER = """#!/bin/bash
# Stands in for a launcher: writes until it is told to stop, and says so in its report.
echo $$ >> "$0.numbers"
report=${*: -1}; report=${report#--report=}
say() {
    printf '{"format": "dgen-report/1", "status": "%s", "exit_status" : %s, "x": 0}' "$@" \\
        > "$report"
}
[ ! -e "$0.stubborn" ] || trap '' TERM
[ -e "$0.stubborn" ] || trap 'say interrupted 5; exit 5' TERM
setsid sleep 300 &
say interrupted 5
while [ ! -e "$0.enough" ]; do echo more >> "$0.data"; sleep 0.05; done
say ok 0
kill $!
"""


@pytest.fixture
def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a campaign of one case that does not end by itself; end whatever is left of it."""
    launcher = tmp_path / "launch"
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)
    (tmp_path / "c.yaml").write_text(
        f"output: data\nsize: 1\nlauncher: {launcher} {{ranks}}\ntime_limit: 1h\n"
    )
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for job in jobs(tmp_path):
        kill_all(job)


def jobs(path: Path) -> list[dict[str, Any]]:
    """Return what is noted of the jobs of the campaign."""
    return [json.loads(file.read_text()) for file in path.glob("c/*/submission.json")]


def dgen(*arguments: str) -> int:
    """Run a command line in this process."""
    return cli.main(arguments)


def wait_until(what: Callable[[], object], seconds: float = 20) -> None:
    """Wait for something that comes."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def submitted(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Submit the campaign; return what is noted of it."""
    assert dgen("submit", "c.yaml", "--executor", "local") == 0
    wait_until((path / "launch.data").exists)
    (job,) = jobs(path)
    capsys.readouterr()
    return job


@pytest.mark.parametrize("is_stubborn", [False, True])
def test_cancelled_is_gone(
    is_stubborn: bool,
    campaign: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Politely, or else by force: with all that it started; a second job is refused before."""
    if is_stubborn:
        (campaign / "launch.stubborn").touch()
        monkeypatch.setattr(background, "STOP_SECONDS", 1)
    job = submitted(campaign, capsys)
    assert dgen("status", "c") == 0
    assert "running" in capsys.readouterr().out
    # Submitted or run again, it is not started again.
    assert dgen("submit", "c.yaml", "--executor", "local", "--json") == 0
    assert json.loads(capsys.readouterr().out)["jobs"] == {}
    assert dgen("run", "c.yaml") == 3
    assert "local has it" in capsys.readouterr().err
    folder = CampaignFolder.open("c")
    with pytest.raises(JobError, match="all: an earlier run of it goes on"):
        BatchSystem("local").submit(folder, folder.campaign.cases)
    assert len((campaign / "launch.numbers").read_text().split()) == 1
    assert len(background._processes([job])) >= 3

    assert dgen("cancel", "c") == 0
    assert capsys.readouterr().out == "all: cancelled\n"
    assert background._processes([job]) == []
    size = (campaign / "launch.data").stat().st_size
    time.sleep(0.2)
    assert (campaign / "launch.data").stat().st_size == size
    assert dgen("status", "c") == 5
    assert "cancelled" in capsys.readouterr().out
    assert dgen("cancel", "c") == 0
    assert capsys.readouterr().out == "nothing to cancel\n"
    # Now another one may begin.
    (campaign / "launch.enough").touch()
    assert dgen("submit", "c.yaml", "--executor", "local", "--wait") == 0
    assert "done" in capsys.readouterr().out


def kill_all(job: dict[str, Any]) -> None:
    """Kill every process of a job, as a system without memory does."""
    while processes := background._processes([job]):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.number, signal.SIGKILL)


COMMANDS = ["status", "cancel", "submit", "run", "report"]
WAYS = ["killed", "rebooted", "reused", "nothing known"]
# Each way, and each command.
GATE = [(how, "status") for how in WAYS] + [("killed", command) for command in COMMANDS[1:]]


@pytest.mark.parametrize(
    ("how", "command"),
    cases(GATE, [pair for pair in itertools.product(WAYS, COMMANDS) if pair not in GATE]),
)
def test_jobs_that_are_gone_are_interrupted(
    how: str, command: str, campaign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are told, and gone on with. Another process that has their number is left alone."""
    job = submitted(campaign, capsys)
    kill_all(job)
    (campaign / "c/all/exit_status").unlink(missing_ok=True)
    other = subprocess.Popen(["sleep", "300"], start_new_session=True)
    try:
        note = campaign / "c/all/submission.json"
        change = {
            "killed": {},
            "rebooted": {"boot": "before", "native_id": str(other.pid)},
            "reused": {"native_id": str(other.pid)},
            "nothing known": {},
        }[how]
        content = {**job, **change}
        if how == "nothing known":
            # As earlier versions noted it.
            content = {"executor": "local", "native_id": str(other.pid), "submitted": ""}
        note.write_text(json.dumps(content))
        (campaign / "launch.enough").touch()
        if command == "status":
            assert dgen("status", "c", "--wait") == 5
            assert "interrupted" in capsys.readouterr().out
        elif command == "cancel":
            assert dgen("cancel", "c") == 0
            assert "nothing to cancel" in capsys.readouterr().out
        elif command == "report":
            assert dgen("report", "c") == 0
            assert "all: interrupted" in capsys.readouterr().out
        else:
            more = ["--executor", "local", "--wait"] if command == "submit" else []
            assert dgen(command, "c.yaml", *more) == 0
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_job_whose_script_alone_was_killed_goes_on(
    campaign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is running, not started again, and cancelled with all that is left of it."""
    job = submitted(campaign, capsys)
    os.kill(int(job["native_id"]), signal.SIGKILL)
    wait_until(lambda: background._first(job) is None)
    assert dgen("submit", "c.yaml", "--executor", "local", "--json") == 0
    assert json.loads(capsys.readouterr().out)["jobs"] == {}
    assert dgen("cancel", "c") == 0
    assert "all: cancelled" in capsys.readouterr().out
    assert background._processes([job]) == []


def test_what_does_not_go_is_not_cancelled(
    campaign: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process in the midst of a call that does not return, as to a file server that is gone."""
    job = submitted(campaign, capsys)
    for name in ("STOP_SECONDS", "KILL_SECONDS"):
        monkeypatch.setattr(background, name, 0)
    with monkeypatch.context() as patch:
        patch.setattr(background, "_signal", lambda *_: None)
        assert dgen("cancel", "c") == 3
    said = capsys.readouterr()
    assert f"all: it was told to stop, and is not gone: process {job['native_id']}" in said.err
    assert said.out == ""
    assert dgen("status", "c", "--json") == 0
    (case,) = json.loads(capsys.readouterr().out)["cases"]
    assert case["state"] == "running"


def test_jobs_of_another_machine_are_left_alone(
    campaign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is started in their place, and nothing here is told to stop."""
    job = submitted(campaign, capsys)
    (campaign / "c/all/submission.json").write_text(json.dumps({**job, "host": "elsewhere"}))
    folder = CampaignFolder.open("c")
    assert folder.state(folder.campaign.cases[0]) is State.QUEUED
    assert dgen("submit", "c.yaml", "--executor", "local", "--json") == 0
    assert json.loads(capsys.readouterr().out)["jobs"] == {}
    assert dgen("cancel", "c") == 2
    assert capsys.readouterr().err == (
        "dgen: error: all: it was started on elsewhere; cancel it there\n"
    )
    assert background._processes([job])
    (campaign / "c/all/submission.json").write_text(json.dumps(job))


def test_jobs_of_another_container_are_seen_by_their_lock(
    campaign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where their processes cannot be seen."""
    job = submitted(campaign, capsys)
    hidden = {**job, "native_id": "1", "start_ticks": 1, "secret": "x", "processes": "pid:[1]"}
    assert background.is_running(hidden)
    kill_all(job)
    wait_until(lambda: not background.is_running(hidden))


def test_a_job_that_cannot_be_noted_is_ended(
    campaign: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody could ask after it."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "submission.json")

    monkeypatch.setattr("dgen_mpi.jobs.schedulers.write_json", full)
    assert dgen("submit", "c.yaml", "--executor", "local") == 3
    assert "No space left" in capsys.readouterr().err
    time.sleep(0.3)
    data = campaign / "launch.data"
    size = data.stat().st_size if data.exists() else 0
    time.sleep(0.3)
    assert (data.stat().st_size if data.exists() else 0) == size
