# SPDX-License-Identifier: MIT OR Apache-2.0
"""Cases that cannot be run: what they need is not there, or their launcher says no."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dgen_mpi import cli
from dgen_mpi.jobs import Campaign, CampaignFolder, State, logs, script

MODULE = {"BASH_FUNC_module%%": '() { [ "$2" = good ] || { echo "no $2" >&2; return 1; }; }'}


def run(
    fields: dict[str, Any],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[int, str, str]:
    """Run a campaign whose launcher only notes that it ran; return status, and what is said."""
    monkeypatch.chdir(place)
    (place / "launch").write_text('#!/bin/bash\necho run >> "$0.ran"\n')
    (place / "launch").chmod(0o755)
    content = {"output": "data", "size": "1", "launcher": f"{place}/launch {{ranks}}", **fields}
    (place / "c.yaml").write_text(yaml.safe_dump(content))
    status = cli.main(["run", "c.yaml"])
    said = capsys.readouterr().err
    cli.main(["status", "c", "--json"])
    (case,) = json.loads(capsys.readouterr().out)["cases"]
    return status, said, case["reason"]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"modules": ["bad/1.2"]}, "module load bad/1.2: ended with status 1"),
        ({"modules": ["good", "it's"]}, None),
        ({"setup": ["false"]}, "setup: false: ended with status 1"),
        ({"setup": ["true", "source ./missing.sh"]}, "setup: source ./missing.sh: ended with"),
        ({"setup": ["no-such-command x # y"]}, "setup: no-such-command x # y: ended with status"),
        ({"setup": ["(exit 7)", "true"]}, "setup: (exit 7): ended with status 7"),
        ({"setup": ["if true; then", "false", "fi"]}, "setup: if true; then"),
        ({"setup": ["'"]}, "setup: ': ended with status"),
        ({"setup": ["exit 0"]}, "exit_status 3"),
        ({"setup": ["exit 4"]}, "exit_status 4"),
        ({"working_directory": "missing"}, "missing: ended with status 1"),
        ({"setup": ["false || true", "[ -e / ] && export X=1", "# nothing"]}, None),
    ],
)
def test_a_case_fails_whose_preparation_does(
    fields: dict[str, Any],
    line: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the line named, and the log; nothing is launched, and data is not removed."""
    for name, text in MODULE.items():
        monkeypatch.setenv(name, text)
    (tmp_path / "data").write_text("precious")
    status, said, reason = run(fields | {"remove_data": "true"}, tmp_path, monkeypatch, capsys)
    if line is None or fields.get("modules", [""])[0] == "good":
        assert (tmp_path / "launch.ran").exists()
        return
    assert status == 3
    assert not (tmp_path / "launch.ran").exists()
    assert (tmp_path / "data").read_text() == "precious"
    folder = CampaignFolder.open("c")
    (case,) = folder.campaign.cases
    assert folder.state(case) is State.FAILED
    if line.startswith("exit_status"):
        assert folder.exit_status(case) == int(line.split()[1])
        return
    for told in (said, reason):
        assert line in told
        assert str(folder.log(case)) in told


@pytest.mark.parametrize(
    ("kill", "state"),
    [
        ("kill -KILL $PPID; exit 1", "interrupted"),
        ("kill -KILL $$", "failed"),
        ("exit 9", "failed"),
    ],
)
def test_what_is_killed_is_told(
    kill: str,
    state: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The script of a case, and its launcher, as a system without memory does; then it is run."""
    monkeypatch.chdir(tmp_path)
    launcher = tmp_path / "launch"
    report = '{"format": "dgen-report/1", "status": "ok", "exit_status" : 0, "x": 0}'
    launcher.write_text(
        f'#!/bin/bash\n[ -e "$0.once" ] || {{ touch "$0.once"; {kill}; }}\n'
        f"report=${{*: -1}}\necho '{report}' > \"${{report#--report=}}\"\n"
    )
    launcher.chmod(0o755)
    (tmp_path / "c.yaml").write_text(f"output: o\nsize: 1\nlauncher: {launcher} {{ranks}}\n")
    assert cli.main(["run", "c.yaml"]) == (5 if state == "interrupted" else 3)
    assert f"all: {state}" in capsys.readouterr().err
    cli.main(["status", "c"])
    assert state in capsys.readouterr().out
    assert cli.main(["run", "c.yaml"]) == 0
    assert "all: done" in capsys.readouterr().err


def test_what_the_launcher_says_of_a_killed_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report of the run cannot know it."""
    monkeypatch.chdir(tmp_path)
    launcher = tmp_path / "launch"
    report = (
        '{"format": "dgen-report/1", "status": "interrupted", "exit_status" : 5, "error": "no end"}'
    )
    launcher.write_text(
        f"#!/bin/bash\nreport=${{*: -1}}\necho '{report}' > \"${{report#--report=}}\"\n"
        "echo 'srun: error: node7: task 0: Out Of Memory'\necho the end\nexit 137\n"
    )
    launcher.chmod(0o755)
    (tmp_path / "c.yaml").write_text(f"output: o\nsize: 1\nlauncher: {launcher} {{ranks}}\n")
    assert cli.main(["run", "c.yaml"]) == 5
    assert "srun: error: node7: task 0: Out Of Memory; see" in capsys.readouterr().err
    cli.main(["status", "c", "--json"])
    (case,) = json.loads(capsys.readouterr().out)["cases"]
    assert case["reason"].startswith(
        "1-generate: no end; srun: error: node7: task 0: Out Of Memory; see"
    )


def test_cases_that_share_a_preparation_share_its_failure(tmp_path: Path) -> None:
    """In one script: those fail, and others of the script do not."""
    text = """
output: "{name}"
size: 1
ranks: [1, 2]
launcher: "echo {ranks}"
setup: [[false], ['true']]
"""
    campaign = Campaign.from_yaml(text)
    made = script(campaign.cases, "c", name="c")
    done = subprocess.run(
        ["bash"], input=made, text=True, cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 3
    found = {
        path.parent.name: path.read_text().strip() for path in tmp_path.glob("c/*/exit_status")
    }
    assert found == {
        case.name: "3" if case.steps[0].setup == ["false"] else "0" for case in campaign.cases
    }
    assert done.stderr.count("dgen: error: setup: false: ended with status 1") == 2


SLOTS = """
--------------------------------------------------------------------------
There are not enough slots available in the system to satisfy the 99
slots that were requested by the application:

  dgen-mpi

Either request fewer slots for your application, or make more slots
available for use.
--------------------------------------------------------------------------
"""

KILLED = """
--------------------------------------------------------------------------
Primary job  terminated normally, but 1 process returned
a non-zero exit code. Per user-direction, the job has been aborted.
--------------------------------------------------------------------------
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("\n \n", ""),
        (SLOTS, "There are not enough slots available in the system to satisfy the 99 slots"),
        (SLOTS + KILLED, "There are not enough slots"),
        ("dgen-mpi: error: before\ndgen-step x\n" + SLOTS, "There are not enough slots"),
        (KILLED, "Primary job terminated normally"),
        (SLOTS + "dgen-mpi: error: no room\nmore\n", "no room"),
        ("a\nsrun: error: Unable to allocate resources: Invalid account\nb\n", "srun: error: Una"),
        ("one\ntwo\n", "two"),
        ("dgen-step 1-generate.report.json\n", ""),
        ("error " * 1000, "error error"),
        ("-" * 80, ""),
    ],
)
def test_the_telling_line_is_found(text: str, line: str) -> None:
    """In what launchers and programs print, of the last run."""
    found = logs.telling(text)
    assert found.startswith(line)
    assert bool(found) == bool(line)
    assert len(found) <= 300


def test_the_launcher_s_reason_is_told(
    program: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of a real one that has not so many slots; and by the one that measures."""
    fields = {"launcher": "mpirun --host localhost:1 -n {ranks}", "ranks": "7", "program": program}
    status, said, reason = run(fields, tmp_path, monkeypatch, capsys)
    assert status == 3
    for told in (said, reason):
        assert "not enough slots" in told
        assert f"see {tmp_path}/c/all/log.txt" in told
    assert cli.main(["run", "c.yaml", "--dry-run", "--measure"]) == 2
    assert "not enough slots" in capsys.readouterr().err


def test_logs_that_are_none_are_not_read(tmp_path: Path) -> None:
    """A pipe, a folder, a device without an end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless", "none", "."):
        assert logs.reason(tmp_path / name) == ""
    (tmp_path / "long").write_bytes(b"x" * (10 << 20) + b"\nthe end\xff\n")
    assert logs.reason(tmp_path / "long").startswith("the end")
