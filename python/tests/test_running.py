# SPDX-License-Identifier: MIT OR Apache-2.0
"""`dgen run`: on this machine, shown, interrupted, and gone on with."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, Command, cases, states

from dgen_mpi import DataSpec
from dgen_mpi.jobs import Campaign, CampaignFolder, Ended, JobError, Progressed, State, run

SWEEP = """
name: sweep
output: "{name}.dat"
size: 3000001
seed: 7
ranks: [1, 2, 3]
launcher_arguments: [--oversubscribe]
steps:
  - {operation: generate}
  - {operation: verify, ranks: 2}
"""


def test_sweep_is_run_and_not_repeated(dgen: Command, tmp_path: Path) -> None:
    """Files hold what they should, by code that is not the program's; a second run does nothing."""
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    first = dgen("run", "sweep.yaml")
    assert "ranks3: done" in first.stderr
    expected = bytearray(3000001)
    DataSpec(3000001, 7).fill(expected)
    for ranks in (1, 2, 3):
        assert (tmp_path / f"ranks{ranks}.dat").read_bytes() == expected
        for step, count in (("1-generate", ranks), ("2-verify", 2)):
            report = json.loads((tmp_path / f"sweep/ranks{ranks}/{step}.report.json").read_text())
            assert report["status"] == "ok"
            assert report["mpi"]["ranks"] == count
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.dat")}
    second = dgen("run", "sweep.yaml", "--json")
    assert all(case["was_done"] for case in states(second).values())
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.dat")}


def test_damage_and_failures_are_shown(dgen: Command, tmp_path: Path) -> None:
    """Each with its own status, the reason, and the rest is run all the same."""
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "bad.yaml").write_text(
        SWEEP.replace('"{name}.dat"', '"missing/{name}"').replace("[1, 2, 3]", "[1, 2]")
    )
    failed = dgen("run", "bad.yaml", "-d", "bad", "--json", status=3)
    assert states(failed)["ranks1"]["state"] == "failed"
    assert "no such" in states(failed)["ranks2"]["reason"].lower()

    (tmp_path / "one.yaml").write_text(SWEEP.replace("[1, 2, 3]", "[1]"))
    dgen("run", "one.yaml", "-d", "one")
    content = bytearray((tmp_path / "ranks1.dat").read_bytes())
    content[1234567] ^= 16
    (tmp_path / "ranks1.dat").write_bytes(content)
    (tmp_path / "one/ranks1/2-verify.report.json").unlink()
    damaged = dgen("run", "one.yaml", "-d", "one", "--json", status=1)
    assert states(damaged)["ranks1"]["state"] == "mismatch"
    assert "mismatch" in dgen("status", "one", status=1).stdout
    shown = dgen("report", "one").stdout
    assert "ranks1: mismatch" in shown

    (tmp_path / "gone.yaml").write_text(SWEEP + "program: /no/such/program\n")
    gone = dgen("run", "gone.yaml", "-d", "gone", "--stop-at-failure", status=3)
    assert "failed" in gone.stderr
    assert (tmp_path / "precious").read_text() == "mine"


def test_data_that_is_lost_is_written_again(dgen: Command, tmp_path: Path) -> None:
    """Where a later step still needs it; `remove_data` takes it away only after the last one."""
    (tmp_path / "keep.yaml").write_text(SWEEP.replace("[1, 2, 3]", "[1]") + "remove_data: true\n")
    dgen("run", "keep.yaml", "-d", "keep")
    assert not list(tmp_path.glob("ranks1.dat*"))
    (tmp_path / "keep/ranks1/2-verify.report.json").unlink()
    again = dgen("run", "keep.yaml", "-d", "keep", "--json")
    assert states(again)["ranks1"] == {
        **states(again)["ranks1"],
        "state": "done",
        "was_done": False,
    }
    third = dgen("run", "keep.yaml", "-d", "keep", "--json")
    assert states(third)["ranks1"]["was_done"]


SLOW = """
name: slow
output: "{name}.dat"
size: [64MiB, 48MiB]
seed: 7
transfer_size: 64KiB
overwrite: true
launcher: "%s {ranks}"
"""


def slow_launcher(folder: Path) -> Path:
    """Make a launcher whose second run starts nothing, and waits until it is killed."""
    path = folder / "launch"
    path.write_text(
        "#!/bin/bash\n"
        "ranks=$1; shift\n"
        f'echo run >> "{folder}/runs"\n'
        f'[ "$(wc -l < "{folder}/runs")" != 2 ] || while :; do sleep 0.1; done\n'
        'exec mpirun --oversubscribe -n "$ranks" "$@"\n'
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("number", cases([signal.SIGTERM], [signal.SIGINT, signal.SIGKILL]))
def test_killed_run_goes_on_with_the_rest(
    number: signal.Signals, dgen: Command, tmp_path: Path
) -> None:
    """Whatever kills it: the case that ran is run again, those before are not."""
    (tmp_path / "slow.yaml").write_text(SLOW % slow_launcher(tmp_path))
    command = [sys.executable, "-m", "dgen_mpi", "run", "slow.yaml"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # What was started in the background ignores it, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            if "size48MiB: started" in line:
                break
        deadline = time.monotonic() + 20
        while len((tmp_path / "runs").read_text().split()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(timeout=60) != 0, "".join(seen)
    finally:
        # However the test ends, it ends.
        process.kill()
        process.wait(timeout=60)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    again = states(dgen("run", "slow.yaml", "--json"))
    assert again["size64MiB"]["was_done"]
    assert again["size48MiB"]["state"] == "done"
    assert not again["size48MiB"]["was_done"]
    for size in (64, 48):
        expected = bytearray(size << 20)
        DataSpec(size << 20, 7).fill(expected)
        assert (tmp_path / f"size{size}MiB.dat").read_bytes() == expected


def test_terminal_shows_bars_and_a_pipe_lines(dgen: Command, tmp_path: Path) -> None:
    """Bytes, rate and time, for each case and the whole campaign; no control codes in a pipe."""
    text = SWEEP.replace("3000001", "200MiB").replace("[1, 2, 3]", "[1]")
    (tmp_path / "shown.yaml").write_text(text.replace("name: sweep", "name: shown"))
    parent, child = pty.openpty()
    os.set_blocking(parent, True)
    process = subprocess.Popen(
        [sys.executable, "-m", "dgen_mpi", "run", "shown.yaml"],
        cwd=tmp_path,
        stdin=child,
        stdout=child,
        stderr=child,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        start_new_session=True,
    )
    os.close(child)
    shown = b""
    try:
        while part := os.read(parent, 65536):
            shown += part
    except OSError:
        # The other end of a terminal that is closed.
        pass
    assert process.wait(timeout=60) == 0
    terminal = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert b"\x1b[" in shown
    assert "ranks1: done after" in terminal
    assert re.search(r"ranks1 (write|verify).*% .* of 200 MiB, .*/s", terminal)
    assert re.search(r"shown .*100% 400 MiB of 400 MiB, .*/s", terminal)
    shutil.rmtree(tmp_path / "shown")
    (tmp_path / "ranks1.dat").unlink()
    piped = dgen("run", "shown.yaml")
    assert "\x1b" not in piped.stderr + piped.stdout
    assert re.search(r"^dgen: ranks1: started\ndgen: ", piped.stderr)


def test_dry_run_tells_and_touches_nothing(dgen: Command, tmp_path: Path) -> None:
    """Commands, bytes, expected stored bytes, and a time from a rate: given, measured, known."""
    (tmp_path / "sweep.yaml").write_text(SWEEP.replace("seed: 7", "seed: 7\ncompress_ratio: 2"))
    before = sorted(tmp_path.iterdir())
    plan = json.loads(dgen("run", "sweep.yaml", "--dry-run", "--json").stdout)
    assert plan["bytes_written"] == 3 * 3000001
    assert abs(plan["expected_stored_bytes"] - 4500000) < 3000
    assert plan["bytes_per_second"] is None
    assert [case["name"] for case in plan["cases"]] == ["ranks1", "ranks2", "ranks3"]
    given = json.loads(dgen("run", "sweep.yaml", "--dry-run", "--json", "--rate", "1000000").stdout)
    assert abs(given["cases"][0]["seconds"] - 6.0) < 0.01
    measured = dgen("run", "sweep.yaml", "--dry-run", "--measure").stdout
    assert "measured with a file of 256 MiB" in measured
    assert "mpirun -n 3 --oversubscribe" in measured
    assert sorted(tmp_path.iterdir()) == before
    dgen("run", "sweep.yaml")
    assert "as in the results that are there" in dgen("run", "sweep.yaml", "--dry-run").stdout


def test_repetitions_of_a_test_are_summarised(dgen: Command, tmp_path: Path) -> None:
    """Phases and repetitions are planned, shown and reported as what they are."""
    (tmp_path / "test.yaml").write_text(
        'name: t\noperation: test\noutput: "{name}.dat"\nsize: 1MiB\nrepeat: 3\nranks: [1, 2]\n'
        "phases: [write, verify]\nlauncher_arguments: [--oversubscribe]\n"
    )
    plan = json.loads(dgen("check", "test.yaml", "--json").stdout)
    assert plan["bytes_written"] == 2 * 3 << 20
    dgen("run", "test.yaml")
    summaries = json.loads(dgen("report", "t", "--json").stdout)["summaries"]
    assert [(it["case"], it["operation"], it["count"]) for it in summaries] == [
        *(("ranks1", "write", 3), ("ranks1", "verify", 3)),
        *(("ranks2", "write", 3), ("ranks2", "verify", 3)),
    ]
    assert not list(tmp_path.glob("*.dat"))


def test_only_files_that_were_cut_off_are_replaced(dgen: Command, tmp_path: Path) -> None:
    """A file that is there before is refused, however often; one half written is begun again."""
    (tmp_path / "sweep.yaml").write_text(SWEEP.replace("[1, 2, 3]", "[1]"))
    (tmp_path / "ranks1.dat").write_text("mine")
    for _ in range(2):
        dgen("run", "sweep.yaml", status=3)
        assert (tmp_path / "ranks1.dat").read_text() == "mine"
    (tmp_path / "ranks1.dat").unlink()
    dgen("run", "sweep.yaml")
    manifest = tmp_path / "ranks1.dat.dgen.json"
    report = tmp_path / "sweep/ranks1/1-generate.report.json"
    # As a run leaves it that is killed.
    manifest.write_text(manifest.read_text().replace('"complete"', '"writing"'))
    report.write_text(report.read_text().replace('"exit_status" : 0', '"exit_status" : 5'))
    (tmp_path / "sweep/ranks1/2-verify.report.json").unlink()
    (tmp_path / "ranks1.dat").write_text("half")
    dgen("run", "sweep.yaml")
    assert (tmp_path / "ranks1.dat").stat().st_size == 3000001


def test_two_do_not_run_one_campaign(program: str, tmp_path: Path) -> None:
    """The second one is refused after a while."""
    folder = CampaignFolder.create(Campaign.from_yaml(SWEEP), tmp_path / "sweep", program=program)
    assert not folder.is_running()
    with (
        folder.locked(),
        pytest.raises(JobError, match="is being run already"),
        folder.locked(wait_seconds=0.3),
    ):
        pass
    with folder.locked():
        assert folder.is_running()


def test_events_come_as_they_happen(program: str, tmp_path: Path) -> None:
    """For programs that show them in their own way; one that stops iterating stops the case."""
    text = SWEEP.replace('"{name}', f'"{tmp_path}/{{name}}').replace(
        "3000001", "1GiB\ntransfer_size: 64KiB"
    )
    campaign = Campaign.from_yaml(text.replace("[1, 2, 3]", "[1]"))
    folder = CampaignFolder.create(campaign, tmp_path / "sweep", program=program)
    (case,) = folder.campaign.cases
    events = run(folder)
    for event in events:
        if isinstance(event, Progressed):
            assert 0 <= event.bytes <= event.total_bytes == 1 << 30
            assert (event.step, event.operation) == ("1-generate", "write")
            break
    else:
        pytest.fail("there was no progress")
    events.close()
    assert folder.state(case) is State.INTERRUPTED
    *_, last = run(folder)
    assert isinstance(last, Ended)
    assert last.state is State.DONE


def test_environment_and_set_up_lines_reach_the_program(dgen: Command, tmp_path: Path) -> None:
    """Variables as they are, lines before the first step."""
    text = SWEEP.replace("[1, 2, 3]", "[2]") + (
        'environment: {DGEN_LOG: "info", A_B: "it\'s $HOME"}\n'
        'setup: ["echo prepared with $PWD", "export FROM_SETUP=yes"]\n'
        "working_directory: work\n"
    )
    (tmp_path / "work").mkdir()
    (tmp_path / "set.yaml").write_text(text)
    dgen("run", "set.yaml", "-d", "set")
    log = (tmp_path / "set/ranks2/log.txt").read_text()
    assert f"prepared with {tmp_path}/work" in log
    assert "2 ranks on 1 nodes" in log
    assert "A_B=it'\"'\"'s $HOME" in (tmp_path / "set/ranks2/case.sh").read_text()
    assert (tmp_path / "work/ranks2.dat").stat().st_size == 3000001


def test_a_case_stops_itself_where_the_batch_system_does_not(program: str, tmp_path: Path) -> None:
    """What `dgen submit` asks for: told to stop after a while, it stops at the next transfer."""
    text = SLOW % slow_launcher(tmp_path)
    text = text.replace("[64MiB, 48MiB]", "8GiB").replace("64KiB", "4KiB") + "space_check: false\n"
    text += f"working_directory: {tmp_path}\n"
    campaign = Campaign.from_yaml(text)
    folder = CampaignFolder.create(campaign, tmp_path / "slow", program=program)
    (case,) = folder.campaign.cases
    started = time.monotonic()
    done = subprocess.run(
        ["bash", folder.script(case)],
        cwd=tmp_path,
        env={**os.environ, "dgen_stop_after": "2"},
        timeout=60,
        capture_output=True,
    )
    assert done.returncode == 5
    assert time.monotonic() - started < 20
    assert folder.state(case) is State.INTERRUPTED
    (result,) = folder.results(case)
    assert result.report is not None
    assert result.report["status"] == "interrupted"


READY = sorted(path.stem for path in (ROOT / "jobs").glob("*.yaml"))


@pytest.mark.parametrize("name", cases(["smoke"], [name for name in READY if name != "smoke"]))
def test_ready_files_run_as_they_stand(name: str, dgen: Command, tmp_path: Path) -> None:
    """From any folder; and the batch script without a batch system."""
    done = dgen("run", ROOT / f"jobs/{name}.yaml", "--json")
    assert {case["state"] for case in states(done).values()} == {"done"}
    shown = dgen("report", name, "--plot", "picture.svg").stdout
    assert "write" in shown
    assert (tmp_path / "picture.svg").read_text().lstrip().startswith("<?xml")


def test_batch_script_runs_alone(program: str, tmp_path: Path) -> None:
    """Without this package; what it leaves is reported."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/dgen-mpi").symlink_to(program)
    subprocess.run(
        ["bash", ROOT / "jobs/soak.slurm.sh"],
        cwd=tmp_path,
        check=True,
        timeout=300,
        env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
    )
    assert sorted(path.name for path in (tmp_path / "soak").iterdir()) == [
        f"seed{number}" for number in (1, 2, 3, 4)
    ]
    assert len(list((tmp_path / "soak").rglob("*.report.json"))) == 12
    assert not list(tmp_path.glob("*.dat"))
