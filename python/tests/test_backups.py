# SPDX-License-Identifier: MIT OR Apache-2.0
"""Full backups of some days: what a store keeps of them, planned and found, and any day back."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Command, cases, missing, states

from dgen_mpi.jobs import Campaign

CAMPAIGN = ROOT / "jobs" / "backup.yaml"
SCRIPT = ROOT / "jobs" / "backup.borg.sh"
BLOCK = 8192
SEED = ("--seed", "42", "--profile", "daily-backups")


def planned(program: str, size: str, day: int) -> dict[str, Any]:
    """Return what `plan` says that is kept of all days up to one."""
    done = subprocess.run(
        [program, "plan", "--size", size, *SEED, "--generation", str(day), "--report", "-"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    kept: dict[str, Any] = json.loads(done.stdout)["composition"]["kept"]
    assert kept["generations"] == day + 1
    return kept


# The campaign


def test_the_campaign_has_a_file_for_each_of_the_days() -> None:
    """All of one data set, 14 of them."""
    campaign = Campaign.load(CAMPAIGN)
    jobs = [case.steps[0] for case in campaign.cases]
    assert [job.generation for job in jobs] == list(range(14))
    assert [job.output for job in jobs] == [f"backup-generation{day}.dat" for day in range(14)]
    assert len({(job.size, job.seed, job.profile) for job in jobs}) == 1


@pytest.mark.parametrize(
    ("size", "days"),
    cases(
        # The last block is cut short, and none of its versions is a whole block.
        [("4100007", 4)],
        [(size, days) for size in ("4MiB", "4100007", "32MiB") for days in (2, 9, 14)],
    ),
)
def test_files_of_all_days_have_in_common_what_is_planned(
    size: str, days: int, dgen: Command, program: str, tmp_path: Path
) -> None:
    """To the byte: counted here, by `dgen analyze`, and planned."""
    text = CAMPAIGN.read_text()
    for key, value in [("size", size), ("generation", list(range(days)))]:
        text, count = re.subn(rf"^{key}: .*$", f"{key}: {value}", text, flags=re.MULTILINE)
        assert count == 1
    (tmp_path / "backup.yaml").write_text(text)
    done = dgen("run", "backup.yaml", "--json")
    assert [state["state"] for state in states(done).values()] == ["done"] * days
    files = [tmp_path / f"backup-generation{day}.dat" for day in range(days)]
    contents = [file.read_bytes() for file in files]
    found: dict[bytes, int] = {}
    for content in contents:
        for start in range(0, len(content), BLOCK):
            block = content[start : start + BLOCK]
            found[blake2b(block).digest()] = len(block)
    kept = planned(program, size, days - 1)
    logical, distinct = sum(map(len, contents)), sum(found.values())
    assert kept["logical_bytes"] == logical
    assert kept["distinct_bytes"] == distinct
    assert kept["dedup_ratio"] == pytest.approx(logical / distinct)
    # Without a count of its own.
    words = ("--profile-out", "days.yaml", "--unit", str(BLOCK), "--json", *files)
    measured = json.loads(dgen("analyze", *words).stdout)
    copies, compression = measured["copies"], measured["compression"]
    assert copies["contents"] == len(found)
    # Where the last block is filled up.
    assert copies["dedup_ratio"] == pytest.approx(kept["dedup_ratio"], rel=0.002)
    # What compressors make of contents, each alone.
    ratio = kept["distinct_bytes"] / kept["stored_bytes"]
    # Which ratios the contents have that change most is by chance, of eight neighbours together.
    assert compression["ratio"] == pytest.approx(ratio, rel=0.05)


# A real store


class Store:
    """A store of borg that `backup.borg.sh` has filled."""

    def __init__(self, program: str, folder: Path) -> None:
        self.folder = folder / "backup"
        (folder / "bin").mkdir()
        (folder / "bin" / "dgen-mpi").symlink_to(program)
        self._environment = os.environ | {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "BORG_BASE_DIR": str(self.folder),
        }

    def run(self, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a program, as the script does."""
        return subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=600,
            cwd=cwd,
            env=self._environment,
        )

    def restore(self, day: int) -> None:
        """Bring a day back."""
        done = self.run("borg", "extract", f"store::day{day}", cwd=self.folder)
        assert done.returncode == 0, done.stderr

    def verify(self, size: str, day: int) -> tuple[int, str]:
        """Compare what has come back with a day."""
        words = ("verify", "data", "--size", size, *SEED, "--generation", str(day))
        done = self.run("dgen-mpi", *words, cwd=self.folder)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def store(program: str, tmp_path: Path) -> Store:
    """Return a store that is not there yet."""
    if shutil.which("borg") is None:
        missing("there is no borg (apt-get install borgbackup)")
    return Store(program, tmp_path)


@pytest.mark.parametrize(("size", "days"), cases([("4MiB", 3)], [("64MiB", 14)]))
def test_a_backup_program_keeps_what_is_planned_and_gives_each_day_back(
    size: str, days: int, store: Store, program: str, tmp_path: Path
) -> None:
    """To the block; besides there is what borg notes of each block and day."""
    done = store.run("bash", str(SCRIPT), str(store.folder), size, str(days), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for day in range(days):
        assert f"day {day}: every byte is right\n" in done.stdout
    kept = planned(program, size, days - 1)
    blocks, distinct = (int(kept[key]) // BLOCK for key in ("logical_bytes", "distinct_bytes"))
    shown = done.stdout.splitlines()
    (line,) = [line for line in shown if line.startswith("kept together ")]
    assert f"{kept['dedup_ratio']:.3f}:1" in line
    (line,) = [line for line in shown if line.startswith("Chunk index: ")]
    info = json.loads(store.run("borg", "info", "--json", "store", cwd=store.folder).stdout)
    found = info["cache"]["stats"]
    assert line.split()[2:] == [str(found["total_unique_chunks"]), str(found["total_chunks"])]
    # Each of borg's own chunks is there once.
    assert found["total_chunks"] - found["total_unique_chunks"] == blocks - distinct
    own = found["total_chunks"] - blocks
    assert days <= own <= 16 * days
    note = 48 * blocks + 4096 * days
    assert kept["distinct_bytes"] <= found["unique_size"] <= kept["distinct_bytes"] + note
    stored = kept["stored_bytes"]
    assert 0.95 * stored <= found["unique_csize"] <= 1.05 * stored + note
    # Any day, and a wrong one: later than expected, and earlier.
    (early, late) = (1, days - 1)
    for here in (late, early):
        store.restore(here)
        assert store.verify(size, here)[0] == 0
        for expected in {0, early, late} - {here}:
            status, told = store.verify(size, expected)
            assert status == 1
            (line,) = [line for line in told.splitlines() if line.startswith("stale blocks ")]
            generations = [int(number) for number in re.findall(r"of generation (\d+)", line)]
            # As they are on the day that has come back: of an earlier one, they may be older still.
            assert max(generations) <= here
            assert max(generations) == here or here < expected
            stale = sum(int(number) for number in re.findall(r"(\d+) of generation", line))
            assert stale == count_changed(program, size, here, expected, tmp_path)


def count_changed(program: str, size: str, one: int, other: int, folder: Path) -> int:
    """Return how many blocks differ between two days, by making both."""
    contents = []
    for day in (one, other):
        made = folder / f"made{day}"
        words = ["--output", str(made), "--size", size, *SEED, "--generation", str(day)]
        subprocess.run([program, *words, "--quiet", "--overwrite"], check=True, timeout=120)
        contents.append(made.read_bytes())
    first, second = contents
    return sum(
        first[start : start + BLOCK] != second[start : start + BLOCK]
        for start in range(0, len(first), BLOCK)
    )


def test_a_day_that_does_not_come_back_is_told(store: Store, tmp_path: Path) -> None:
    """With a store that gives another day: status 1, and what is wrong."""
    real = shutil.which("borg")
    false = tmp_path / "bin" / "borg"
    false.write_text(
        "#!/bin/bash\n"
        '[ "$*" != "extract store::day0" ] || set -- extract store::day1\n'
        f'exec {real} "$@"\n'
    )
    false.chmod(0o755)
    done = store.run("bash", str(SCRIPT), str(store.folder), "4MiB", "2", cwd=tmp_path)
    assert done.returncode == 1
    assert "every byte is right" not in done.stdout
    assert re.search(r"^stale blocks +\d+ of generation 1$", done.stdout, re.MULTILINE)
    assert done.stderr.endswith("backup: day 0 has not come back\n")
    # Damage is evidence.
    assert (store.folder / "data").stat().st_size == 4 << 20


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ((), 2, "backup: give FOLDER [SIZE [DAYS]]"),
        (("new", "1MiB", "3", "more"), 2, "backup: give FOLDER [SIZE [DAYS]]"),
        (("new", "1MiB", "0"), 2, "DAYS: '0' is not accepted; give 1 to 9999"),
        (("new", "1MiB", "2; ls"), 2, "DAYS: '2; ls' is not accepted; give 1 to 9999"),
        (("new", "1XB"), 2, "size: '1XB' is not accepted; "),
        (("there", "1MiB"), 2, "'there' is there; give a new folder"),
        (("none/new", "1MiB"), 3, "No such file or directory"),
    ],
)
def test_what_the_script_does_not_take_is_refused(
    words: tuple[str, ...], status: int, told: str, store: Store, tmp_path: Path
) -> None:
    """Before anything is made."""
    (tmp_path / "there").mkdir()
    before = sorted(tmp_path.rglob("*"))
    done = store.run("bash", str(SCRIPT), *words, cwd=tmp_path)
    assert done.returncode == status
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("lacking", ["dgen-mpi", "borg"])
def test_a_missing_program_is_named(lacking: str, store: Store, tmp_path: Path) -> None:
    """Before anything is made."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in {"dgen-mpi", "borg"} - {lacking}:
        (tools / name).symlink_to("/bin/true")
    done = subprocess.run(
        ["/bin/bash", SCRIPT, "new"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={"PATH": str(tools)},
    )
    assert (done.returncode, done.stderr) == (3, f"backup: there is no {lacking}\n")
    assert not (tmp_path / "new").exists()
