# SPDX-License-Identifier: MIT OR Apache-2.0
"""The documents say what is so: examples run, references are complete, links lead somewhere."""

from __future__ import annotations

import csv
import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MPIRUN, ROOT, missing

import dgen_mpi
from dgen_mpi import DataSpec

GUIDES = ROOT / "Sources" / "DGen" / "DGen.docc"
README = ROOT / "README.md"
REPORT = GUIDES / "Report.md"
DOCUMENTS = sorted(
    path
    for folder in ("", "Sources/DGen", "Sources/DataGen", "python", "jobs")
    for path in (ROOT / folder).glob("*.md" if folder in ("", "jobs") else "**/*.md")
    if not any(part.startswith(".") or part == "build" for part in path.relative_to(ROOT).parts)
)


def text_of(path: Path) -> str:
    """Return the text of a document."""
    return path.read_text(encoding="utf-8")


def section(path: Path, title: str) -> str:
    """Return what stands below a heading, up to the next one of its level or above."""
    level = len(title) - len(title.lstrip("#"))
    (_, found) = f"\n{text_of(path)}".split(f"\n{title}\n", 1)
    return re.split(rf"^#{{1,{level}}} ", found, maxsplit=1, flags=re.MULTILINE)[0]


# Examples

PAGES = [ROOT / "python" / "README.md", *sorted((ROOT / "python" / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"^```python\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL)
    )
]


def run_example(block: str, folder: Path) -> None:
    """Run a program without an error or a warning, and look that it prints what stands beside."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == re.findall(r"print\(.*\)  # (.*)", block)


def test_there_are_programs() -> None:
    """Else none would be tested."""
    assert len(BLOCKS) >= 8


@pytest.mark.parametrize("block", BLOCKS)
def test_program_of_a_page_runs(block: str, tmp_path: Path) -> None:
    """As it stands."""
    run_example(block, tmp_path)


TERMINALS = [path for path in DOCUMENTS if "\n```console\n" in text_of(path)]
VARIABLE = (
    (r"[0-9.]+ (?:[KMGT]i)?B/s", "RATE"),
    (r"[0-9.]+ m?s\b", "TIME"),
    (r"\d+ per second", "NUMBER"),
    # How far readers came beside writers, and whether they met them.
    (r"\d+ reads, \d+ of them", "READS"),
    (r"; \d+ torn while they were written", ""),
    # Who was slowest, and on which node.
    (r"\d+ on \S+$", "RANK"),
    # Where ranks have processors to spare.
    (r", queue depth \d+", ""),
)
"""What differs from run to run and from machine to machine, and what stands for it."""


def what_must_be_the_same(lines: list[str]) -> list[str]:
    """Leave out what is variable, and the widths of columns."""
    for pattern, name in VARIABLE:
        lines = [re.sub(pattern, name, line) for line in lines]
    return [" ".join(line.split()) for line in lines]


@pytest.mark.parametrize("path", TERMINALS, ids=lambda path: path.name)
def test_a_terminal_shows_what_is_printed(path: Path, program: str, tmp_path: Path) -> None:
    """All terminals of a page one after the other; what the README's wrote, its example reads."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "dgen-mpi").symlink_to(program)
    environment = os.environ | {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }
    terminals = re.findall(r"^```console\n(.*?)^```", text_of(path), re.MULTILINE | re.DOTALL)
    for step in re.split(r"^\$ ", "".join(terminals), flags=re.MULTILINE)[1:]:
        command, *shown = step.splitlines()
        done = subprocess.run(
            ["sh", "-c", command],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        printed = done.stdout.splitlines()
        assert what_must_be_the_same(printed) == what_must_be_the_same(shown)
    if path == README:
        (block,) = re.findall(r"^```python\n(.*?)^```", text_of(path), re.MULTILINE | re.DOTALL)
        run_example(block, tmp_path)


def test_there_are_terminals() -> None:
    """Of the README, and of three guides."""
    assert len(TERMINALS) >= 4


# Form


def test_the_readme_is_short() -> None:
    """A page for the first minute."""
    assert len(text_of(README).splitlines()) <= 150


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", text_of(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """To a file that is there, and to a heading of it."""
    prose = re.sub(r"^```.*?^```", "", text_of(path), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        found = path.parent / file if file else path
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


def test_pictures_are_those_that_the_script_draws() -> None:
    """Their numbers are those of the tables."""
    place = importlib.util.spec_from_file_location("pictures", ROOT / "python/docs/pictures.py")
    assert place is not None
    assert place.loader is not None
    pictures = importlib.util.module_from_spec(place)
    place.loader.exec_module(pictures)
    assert len(pictures.PICTURES) == 6
    for path, draw in pictures.PICTURES.items():
        assert path.read_text(encoding="utf-8") == draw().svg(), f"{path}: python/docs/pictures.py"


# Names

COMMANDS = ("generate", "verify", "repair", "update", "test", "checksum", "plan", "info", "bench")
OF_OTHERS = {
    *("--oversubscribe", "--bind-to", "--map-by", "--mpi", "--nodes", "--ntasks-per-node"),
    *("--time", "--signal", "--bind", "--env", "--sharens"),
}
"""Options of launchers, batch systems and containers that the documents name."""


def options_in(text: str) -> set[str]:
    """Return the long options that a text names."""
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]\b", text))


@functools.cache
def options_of(*words: str) -> set[str]:
    """Return the options in the help of a command."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    # A flag that has two forms has them in one word.
    return options_in(done.stdout.replace("/--", " --"))


def test_every_option_that_documents_name_is_there(program: str) -> None:
    """Whoever has it: the program, `dgen`, a measurement, or a launcher."""
    known = set().union(*(options_of(program, "help", command) for command in COMMANDS))
    known |= OF_OTHERS
    # Not from their help: it takes a second to start each.
    for folder in (Path(dgen_mpi.__file__).parent, ROOT / "python" / "benchmarks"):
        known = known.union(*map(options_in, map(text_of, folder.rglob("*.py"))))
    for path in DOCUMENTS:
        assert options_in(text_of(path)) - known == set(), path


def test_the_option_reference_has_every_option(program: str) -> None:
    """And no other."""
    helped = set().union(*(options_of(program, "help", command) for command in COMMANDS))
    assert options_in(text_of(GUIDES / "Options.md")) == helped


def test_the_api_names_everything() -> None:
    """What the package exports."""
    named = set(re.findall(r"`(\w+)`", section(ROOT / "python/docs/api.md", "# Python API")))
    assert set(dgen_mpi.__all__) - {"__version__"} <= named


# Reports

MIB = 1 << 20
OPAQUE = (
    "hints.requested", "hints.reported", "placement[].pages_by_node", "stale_blocks",
    "damage[].stale_blocks", "history.accepted", "map.stretches[].generations",
    "map.stretches[].damage",
)  # fmt: skip
"""Mappings whose names are not ours."""


def fields(value: Any, path: str = "") -> Iterator[str]:
    """Give the path of everything in a report that is no mapping and no list of them."""
    if isinstance(value, dict) and path not in OPAQUE:
        for name, element in value.items():
            own = "*" if path == "summary" else name
            yield from fields(element, f"{path}.{own}" if path else own)
    elif isinstance(value, list) and any(isinstance(element, dict) for element in value):
        for element in value:
            yield from fields(element, f"{path}[]")
    else:
        yield path


def documented(title: str) -> set[str]:
    """Return the fields that the tables of a section describe."""
    found: set[str] = set()
    for cell in re.findall(r"^\| (`[^|]*) \|", section(REPORT, title), re.MULTILINE):
        found |= set(re.findall(r"`([^`]+)`", cell))
    # Lists and mappings that other lines say more of.
    return {
        path
        for path in found
        if not any(other.startswith((f"{path}[].", f"{path}.")) for other in found)
    }


class Runs:
    """Runs of the program in one folder, and what they left."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self.folder = folder
        self.reports: list[dict[str, Any]] = []
        self.manifests: list[dict[str, Any]] = []
        self.statuses: set[int] = set()

    def alone(self, *words: str, status: int = 0, **environment: str) -> None:
        """Run it without a launcher, which takes its time to take note of a status."""
        self._run([self._program, *words], status, environment)

    def reporting(self, *words: str, ranks: int = 1, status: int = 0, **environment: str) -> None:
        """Run it with a report, and keep that and the manifest."""
        (self.folder / "report").unlink(missing_ok=True)
        launcher = [*MPIRUN, "-n", str(ranks)] if ranks > 1 else []
        self._run([*launcher, self._program, *words, "--report=report"], status, environment)
        self.reports.append(json.loads(text_of(self.folder / "report")))
        if (self.folder / "data.dgen.json").exists():
            self.manifests.append(json.loads(text_of(self.folder / "data.dgen.json")))

    def _run(self, words: list[str], status: int, environment: dict[str, str]) -> None:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.folder,
            env=os.environ | environment,
        )
        assert done.returncode == status, f"{words}: {done.stderr}"
        self.statuses.add(status)


def damage(path: Path, spec: DataSpec, earlier: DataSpec) -> None:
    """Do one harm of each kind that has a field of its own to a file."""
    found = np.fromfile(path, dtype=np.uint8)
    random = np.random.default_rng(1)

    def put(start: int, count: int, what: DataSpec | None = None, at: int | None = None) -> None:
        piece = found[start : start + count]
        if what is None:
            piece[:] = random.integers(0, 256, count, dtype=np.uint8)
        else:
            what.fill(piece, offset=start if at is None else at)

    found[100] ^= 1
    put(MIB, 4096, earlier)
    put(2 * MIB, 4096, spec, at=3 * MIB)
    put(6 * MIB - 8192, 8192)
    # Of two blocks and two ranks.
    put(4 * MIB - 4096, 8192)
    # Many kinds in a row.
    for number in range(24):
        start = 6 * MIB + MIB // 2 + 512 * number
        put(
            start, 512, *((earlier, None), (spec, 7 * MIB - 512 * number), (None, None))[number % 3]
        )
    found[7 * MIB : 7 * MIB + MIB // 2] = 0
    found.tofile(path)


def tear(path: Path, later: Path, unit: int) -> None:
    """Have the first block that two files differ in be half of each."""
    (found, other) = (np.fromfile(name, dtype=np.uint8) for name in (path, later))
    start = int((found != other).argmax()) // unit * unit
    found[start : start + unit // 2] = other[start : start + unit // 2]
    found.tofile(path)


@pytest.fixture(scope="module")
def runs(program: str, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Return runs that leave everything that a report, a manifest and an exit status can have."""
    runs = Runs(program, tmp_path_factory.mktemp("runs"))
    folder = runs.folder
    # Lustre's tool, played by a script.
    lfs = folder / "bin" / "lfs"
    lfs.parent.mkdir()
    lfs.write_text(
        '#!/bin/sh\ncase "$1 $2" in "getstripe -c") echo 4;; getstripe*) echo 65536;; esac\n'
    )
    lfs.chmod(0o755)
    data = ("generate", "--output=data", "--size=8MiB")
    tools = f"{lfs.parent}:{os.environ['PATH']}"
    runs.reporting(
        *(*data, "--seed=1", "--collective", "--hint=cb_nodes=1", "--stripe-count=4"),
        "--segments=2",
        ranks=2,
        PATH=tools,
    )
    runs.reporting(*data, "--seed=2", status=2)
    runs.reporting(*data, "--seed=2", "--overwrite", "--strided", "--csv=table.csv", ranks=2)
    damage(folder / "data", DataSpec(8 * MIB, 2), DataSpec(8 * MIB, 1))
    runs.reporting("verify", "data", status=1)
    runs.reporting("repair", "data")
    runs.reporting("verify", "data", "--blocks=3")
    runs.reporting(*data, "--seed=2", "--overwrite", "--layout=per-rank", ranks=2)
    runs.reporting(*data, "--seed=2", "--overwrite", "--checksum=crc64nvme")
    runs.reporting("verify", "data", "--checksum=crc64nvme")
    runs.reporting("checksum", "data", "--part-size=4MiB", "--algorithm=md5")
    runs.reporting(
        *("test", "--output=tested", "--size=8MiB", "--repeat=1000000", "--time-limit=1s"),
        status=5,
    )
    # An update that is cut off, which is played, and one that is not.
    composition = ("--copies=2:30%", "--zeros=5%", "--compress-mix=1:50%,2:50%", "--run=2")
    history = ("--change=9%", "--dedup-unit=4KiB", "--generation=7")
    runs.reporting(*data, "--seed=2", "--overwrite", *composition, *history)
    manifest = json.loads(text_of(folder / "data.dgen.json"))
    update = {"from": 7, "ranks": 1, "sync": "each", "transfer_size": MIB, "run": "1a2b"}
    manifest |= {"status": "updating", "update": update}
    manifest["spec"]["generation"] = 40
    (folder / "data.dgen.json").write_text(json.dumps(manifest))
    runs.reporting("verify", "data", "--generation=7")
    runs.reporting("verify", "data", status=1)
    later = ("--output=later", "--size=8MiB", "--seed=2", *history[:2], "--generation=40")
    runs.alone("generate", *later, *composition)
    tear(folder / "data", folder / "later", 4096)
    runs.reporting("verify", "data", "--from=7", status=1)
    # Some writes, from the end of the file on, without others that come before them.
    target = DataSpec.from_manifest(folder / "data")
    found = np.fromfile(folder / "data", dtype=np.uint8)
    target.fill(found[4 * MIB :], offset=4 * MIB)
    found.tofile(folder / "data")
    runs.reporting("verify", "data", "--consistent", status=1)
    # What another run had begun; then all that was acknowledged is lost.
    (folder / "counters").mkdir()
    runs.reporting("update", "data", "--resume", "--sync=each", "--acknowledge=counters")
    found = np.fromfile(folder / "data", dtype=np.uint8)
    (folder / "data").write_bytes(bytes(8 * MIB))
    runs.reporting("verify", "data", "--acknowledged=counters", status=1)
    found.tofile(folder / "data")
    # A block where another one belongs, of which there are two.
    found = np.fromfile(folder / "data", dtype=np.uint8)
    blocks = [bytes(block) for block in found.reshape(-1, 4096)]
    twice = next(block for block in blocks if blocks.count(block) == 2)
    place = next(i for i, block in enumerate(blocks) if block != twice) * 4096
    found[place : place + 4096] = np.frombuffer(twice, dtype=np.uint8)
    found.tofile(folder / "data")
    runs.reporting("verify", "data", status=1)
    # A reader behind a cache that nobody has told: what it keeps of one update is changed by the
    # next one in part.
    compiler = shutil.which("cc") or missing("there is no C compiler")
    faults = ROOT / "Tests" / "IntegrationTests" / "Faults" / "faults.c"
    library = folder / "faults.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, faults, "-ldl"], check=True, timeout=60
    )
    runs.reporting(
        *("test", "--output=read", "--size=8MiB", "--dedup-unit=4KiB", "--change=60%"),
        *("--phases=write,update,update", "--readers=1", "--io=posix"),
        ranks=2,
        status=1,
        LD_PRELOAD=str(library),
        FAULT_CALL="read",
        FAULT_WITH="stale",
        FAULT_RANK="1",
        FAULT_PATH=str((folder / "read").resolve()),
    )
    runs.reporting("generate", f"--output={folder}", "--size=8MiB", status=3)
    piped = [program, "--output=-", "--size=8MiB", "--manifest=piped", "--quiet"]
    subprocess.run(piped, check=True, timeout=120, cwd=folder, stdout=subprocess.DEVNULL)
    runs.manifests.append(json.loads(text_of(folder / "piped")))
    runs.alone(*data, status=4, OMPI_COMM_WORLD_SIZE="4")
    return runs


def test_the_reference_has_every_field_of_a_report(runs: Runs) -> None:
    """And no other."""
    found = set().union(*(fields(report) for report in runs.reports))
    # Lists that happen to be empty.
    found -= {"damage", "operations", "operations[].readers.findings", "summary"}
    assert found == documented("## Fields of a run")


def test_the_reference_has_every_field_of_a_manifest(runs: Runs) -> None:
    """And no other."""
    found = set().union(*(fields(manifest) for manifest in runs.manifests))
    assert found == documented("## Manifest")


def test_the_reference_has_every_exit_status(runs: Runs) -> None:
    """And no other."""
    rows = re.findall(r"^\| (\d) \|", section(REPORT, "## Exit status"), re.MULTILINE)
    assert [int(row) for row in rows] == sorted(runs.statuses)


def test_the_reference_has_every_column(runs: Runs) -> None:
    """In their order."""
    with (runs.folder / "table.csv").open(newline="") as file:
        header = next(csv.reader(file))
    assert ",".join(header) in section(REPORT, "## Operations as a table").split()


def test_the_reference_has_every_field_of_plan_info_and_bench(runs: Runs) -> None:
    """And no other."""
    node = runs.folder / "root" / "sys" / "devices" / "system" / "node" / "node0"
    node.mkdir(parents=True)
    (node / "cpulist").write_text("abc\n")
    few = ("--operations=fill", "--kernels=scalar", "--buffer-sizes=100", "--milliseconds=1")
    calls: dict[str, list[tuple[tuple[str, ...], dict[str, str]]]] = {
        "plan": [
            (("--size=8MiB", "--ranks=3"), {"DGEN_SEGMENTS": "2"}),
            (("--size=8MiB", "--ranks=3"), {"DGEN_LAYOUT": "per-rank"}),
            (
                ("--size=8MiB", "--copies=2:10%,1000:1%", "--zeros=1%", "--run=2"),
                {"DGEN_COMPRESS_MIX": "1:50%,2:50%", "DGEN_CHANGE": "9%", "DGEN_GENERATION": "3"},
            ),
        ],
        "info": [(("--threads=1", "--numa=force"), {}), (("--sys-root=root",), {})],
        "bench": [((*few, "--repeat=1", "--threads=1"), {})],
    }
    for command, of_command in calls.items():
        found: set[str] = set()
        for words, environment in of_command:
            runs.alone(command, *words, "--report=own", **environment)
            found |= set(fields(json.loads(text_of(runs.folder / "own"))))
        assert found == documented(f"### {command.capitalize()}"), command
