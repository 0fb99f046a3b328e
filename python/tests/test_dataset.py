# SPDX-License-Identifier: MIT OR Apache-2.0
"""Data sets that Python programs write: claimed, described, or left alone, as by the program."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MPIRUN, cases, missing
from test_precious import contents

from dgen_mpi import DataReader, DataSet, DataSpec
from dgen_mpi.manifest import beside

SPEC = DataSpec(300_001, seed=7, dedup_ratio=2, dedup_unit=4096)


def write(data: DataSet, ranks: int | None = None) -> None:
    """Write all parts."""
    for rank in range(data.ranks if ranks is None else ranks):
        part = data.part(rank)
        buffer = bytearray(part.stop - part.start)
        data.spec.fill(buffer, part.start)
        with part.path.open("r+b") as file:
            file.seek(part.start if data.layout == "shared" else 0)
            file.write(buffer)


def cut_off(data: DataSet) -> None:
    """Write a part, and fail."""
    write(data, ranks=1)
    raise RuntimeError


def said(path: Path) -> dict[str, Any]:
    """Return what the manifest says."""
    found: dict[str, Any] = json.loads(beside(path).read_text())
    return found


def dgen_mpi(program: str, *arguments: str | Path, ranks: int = 2, status: int = 0) -> str:
    """Run the program and return what it says."""
    command = [*MPIRUN, "-n", str(ranks), program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("layout", ["shared", "per-rank"])
def test_what_is_written_is_verified_and_repaired(
    layout: str, program: str, tmp_path: Path
) -> None:
    """By other numbers of ranks, complete or not; what it was written by is told."""
    path = tmp_path / "data"
    with DataSet.create(path, SPEC, layout=layout, ranks=3, align=4096) as data:
        assert said(path)["status"] == "writing"
        write(data)
    found = said(path)
    assert (found["status"], found["layout"], found["ranks"]) == ("complete", layout, 3)
    assert found["align"] == 4096
    assert found["spec"] == SPEC.as_dict()
    dgen_mpi(program, "verify", path)
    # What another program begins is not called complete.
    path = tmp_path / "half"
    with (
        pytest.raises(RuntimeError),
        DataSet.create(path, SPEC, layout=layout, ranks=3, align=4096) as data,
    ):
        cut_off(data)
    assert said(path)["status"] == "writing"
    assert "says 'writing'" in dgen_mpi(program, "verify", path, status=1)
    dgen_mpi(program, "repair", path)
    assert said(path)["status"] == "complete"
    dgen_mpi(program, "verify", path)


def test_the_manifest_is_that_of_the_program(program: str, tmp_path: Path) -> None:
    """To the last byte, but for the number of the run; of both versions, and all fields."""
    specs: list[dict[str, Any]] = [
        {"seed": 2**64 - 1, "dedup_ratio": 1.333, "compress_ratio": 2.5, "fill": "zeros"},
        {"seed": 3, "zeros": 0.05, "copies": {2: 0.2927, 3: "0.0005%"}, "run": 2},
        {"seed": 3, "compress_mix": {1: 0.5, 2.5: 0.5}, "change": "0.5%", "generation": 3},
    ]
    for number, more in enumerate(specs):
        spec = DataSpec(100_000, dedup_unit=4096, **more)
        path = tmp_path / f"data{number}"
        options = [f"--seed={spec.seed}", "--dedup-unit=4096", "-s", "100000", "--quiet"]
        if number == 0:
            options += ["--dedup-ratio=1.333", "--compress-ratio=2.5", "--fill=zeros"]
        elif number == 1:
            options += ["--zeros=5%", "--copies=2:29.27%,3:0.0005%", "--run=2"]
        else:
            options += ["--compress-mix=1:50%,2.5:50%", "--change=0.5%", "--generation=3"]
        for layout in ("shared", "per-rank"):
            dgen_mpi(program, "-o", path, f"--layout={layout}", *options, "--overwrite")
            written = beside(path).read_text()
            run = json.loads(written)["run"]
            spec.write_manifest(path, layout=layout, ranks=2, transfer_size=1 << 20, overwrite=True)
            found = beside(path).read_text()
            assert written == found.replace(json.loads(found)["run"], run)
            assert DataSpec.from_manifest(path) == spec


def precious(folder: Path) -> None:
    """Put things in the way, and data sets of others."""
    for name in ("file", "taken.dgen.json", "ranks.00000001", "foreign", "long", "same"):
        (folder / name).write_text("precious")
    (folder / "foreign.dgen.json").write_text('{"a": 1}')
    (folder / "broken.dgen.json").write_text('{"format": "dgen/1", "spec": {')
    (folder / "folder").mkdir()
    (folder / "lost").symlink_to("gone")
    (folder / "other.dgen.json").symlink_to("set.dgen.json")
    (folder / "soft").symlink_to("file")
    os.mkfifo(folder / "pipe")
    for name, layout in (("set", "shared"), ("sets", "per-rank")):
        with DataSet.create(folder / name, SPEC, layout=layout, ranks=2, align=4096) as data:
            write(data)
    (folder / "same").write_bytes(b"p" * SPEC.size)
    shutil.copy(folder / "set", folder / "unnamed")
    with (folder / "long").open("wb") as file:
        shutil.copyfileobj(DataReader(SPEC), file)
        file.write(b"precious")


CREATED: list[tuple[str, dict[str, Any], type[Exception]]] = [
    ("file", {}, FileExistsError),
    ("soft", {}, FileExistsError),
    ("set", {}, FileExistsError),
    ("sets", {"layout": "per-rank", "ranks": 2}, FileExistsError),
    ("sets", {}, FileExistsError),
    ("ranks", {"layout": "per-rank", "ranks": 3}, FileExistsError),
    ("taken", {}, FileExistsError),
    ("taken", {"overwrite": True}, FileExistsError),
    ("foreign", {}, FileExistsError),
    ("foreign", {"overwrite": True}, FileExistsError),
    ("broken", {}, FileExistsError),
    ("other", {}, FileExistsError),
    ("other", {"overwrite": True}, FileExistsError),
    ("lost", {}, FileExistsError),
    ("lost", {"overwrite": True}, FileExistsError),
    ("folder", {}, OSError),
    ("folder", {"overwrite": True}, OSError),
    ("pipe", {"overwrite": True}, OSError),
    ("none/data", {}, OSError),
    ("n" * 250, {}, ValueError),
    ("data", {"layout": "striped"}, ValueError),
    ("data", {"ranks": 0}, ValueError),
    ("data", {"align": 0}, ValueError),
    ("data", {"transfer_size": 1 << 40}, ValueError),
    ("", {}, ValueError),
]


@pytest.mark.parametrize(("name", "how", "kind"), CREATED)
def test_nothing_is_changed_where_nothing_is_made(
    name: str, how: dict[str, Any], kind: type[Exception], tmp_path: Path
) -> None:
    """Whatever is in the way of data, of a rank's, or of the manifest."""
    precious(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(kind) as raised:
        DataSet.create(f"{tmp_path}/{name}" if name else "", SPEC, **how)
    assert "--" not in str(raised.value)
    assert contents(tmp_path) == before


DESCRIBED: list[tuple[str, dict[str, Any], type[Exception]]] = [
    ("file", {}, OSError),
    ("same", {}, ValueError),
    ("same", {"overwrite": True}, ValueError),
    ("long", {}, OSError),
    ("set", {}, FileExistsError),
    ("unnamed", {"layout": "per-rank"}, OSError),
    ("sets", {}, FileExistsError),
    ("gone", {}, OSError),
    ("folder", {}, OSError),
    ("lost", {}, FileExistsError),
    ("unnamed", {"seed": 8}, ValueError),
    ("unnamed", {"size": SPEC.size - 1}, OSError),
]


@pytest.mark.parametrize(("name", "how", "kind"), DESCRIBED)
def test_only_data_gets_a_manifest(
    name: str, how: dict[str, Any], kind: type[Exception], tmp_path: Path
) -> None:
    """A manifest lets others mend what is beside it: that must be of the data set."""
    precious(tmp_path)
    before = contents(tmp_path)
    changed = {key: how[key] for key in ("seed", "size") if key in how}
    spec = DataSpec(**{**SPEC.as_dict(), **changed})
    with pytest.raises(kind):
        spec.write_manifest(tmp_path / name, **{k: how[k] for k in how if k not in changed})
    assert contents(tmp_path) == before


def test_data_without_a_manifest_gets_one(program: str, tmp_path: Path) -> None:
    """Also of a set of zeros, and of bytes so few that they are no proof."""
    precious(tmp_path)
    SPEC.write_manifest(tmp_path / "unnamed")
    dgen_mpi(program, "verify", tmp_path / "unnamed", ranks=3)
    (tmp_path / "z").write_bytes(bytes(10_000))
    DataSpec(10_000, 1, zeros=1, dedup_unit=512).write_manifest(tmp_path / "z")
    with pytest.raises(ValueError, match="nothing but zeros"):
        DataSpec(10_000, 2).write_manifest(tmp_path / "z", overwrite=True)
    (tmp_path / "few").write_bytes(DataReader(DataSpec(5, 3)).read())
    DataSpec(5, 3).write_manifest(tmp_path / "few")


def test_what_is_there_is_replaced_where_that_is_asked_for(tmp_path: Path) -> None:
    """And remembered; files that are no longer needed go."""
    precious(tmp_path)
    path = tmp_path / "sets"
    with DataSet.create(path, DataSpec(1000, 5), overwrite=True) as data:
        assert said(path)["earlier"] == [SPEC.as_dict()]
        path.write_bytes(DataReader(data.spec).read())
    assert said(path)["status"] == "complete"
    assert not list(tmp_path.glob("sets.0*"))
    with DataSet.create(tmp_path / "file", DataSpec(1000, 5), overwrite=True) as data:
        assert (tmp_path / "file").read_bytes() == b""
        (tmp_path / "file").write_bytes(DataReader(data.spec).read())


@pytest.mark.parametrize("layout", ["shared", "per-rank"])
def test_files_of_another_length_are_not_complete(layout: str, tmp_path: Path) -> None:
    """Too short, too long, or gone."""
    path = tmp_path / "data"
    for spoil in ("short", "long", "gone"):
        data = DataSet.create(path, SPEC, layout=layout, ranks=2, align=4096, overwrite=True)
        write(data)
        file = data.part(data.ranks - 1).path
        if spoil == "gone":
            file.unlink()
        else:
            os.truncate(file, file.stat().st_size + (1 if spoil == "long" else -1))
        with pytest.raises(OSError, match="bytes, not"):
            data.close()
        assert said(path)["status"] == "writing"
        data.close()


def test_two_do_not_write_one_data_set(program: str, tmp_path: Path) -> None:
    """Neither another program of Python, nor dgen-mpi; and what was taken is not completed."""
    path = tmp_path / "data"
    data = DataSet.create(path, SPEC)
    with pytest.raises(OSError, match="another run is writing it"):
        DataSet.create(path, SPEC, overwrite=True)
    told = dgen_mpi(program, "-o", path, "-s", "1000", "--overwrite", ranks=1, status=3)
    assert "another run is writing it" in told
    assert said(path)["status"] == "writing"
    write(data)
    # Somebody who does not ask for the lock, as on a file system without locks.
    manifest = said(path)
    beside(path).write_text(json.dumps({**manifest, "run": "1"}))
    with pytest.raises(OSError, match="another run has written it"):
        data.close()
    assert said(path)["status"] == "writing"


def test_a_forked_process_ends_nothing(tmp_path: Path) -> None:
    """What it has inherited is that of its parent."""
    path = tmp_path / "data"
    with DataSet.create(path, SPEC) as data:
        write(data)
        child = multiprocessing.get_context("fork").Process(target=data.close)
        child.start()
        child.join(60)
        assert child.exitcode == 0
        assert said(path)["status"] == "writing"
    assert said(path)["status"] == "complete"


def test_parts_are_those_of_the_program(tmp_path: Path) -> None:
    """In rank order, each byte once, in units of the alignment."""
    with pytest.raises(TypeError):
        DataSet()
    for layout in ("shared", "per-rank"):
        data = DataSet.create(tmp_path / layout, SPEC, layout=layout, ranks=40, align=10_000)
        parts = [data.part(rank) for rank in range(40)]
        assert [part.start for part in parts] == [min(SPEC.size, 10_000 * i) for i in range(40)]
        assert parts[-1].stop == SPEC.size
        assert len({part.path for part in parts}) == (1 if layout == "shared" else 40)
        with pytest.raises(ValueError, match="rank"):
            data.part(40)
        data.abandon()
        assert "closed" in repr(data)


def test_threads_and_kinds_of_specs(tmp_path: Path) -> None:
    """A set without bytes has no file, as with the program."""
    with pytest.raises(ValueError, match="1 byte at least"):
        DataSet.create(tmp_path / "data", DataSpec(0, 1))
    with pytest.raises(ValueError, match="1 byte at least"):
        DataSpec(0, 1).write_manifest(tmp_path / "data")
    assert not list(tmp_path.iterdir())


EXAMPLE = Path(__file__).parents[1] / "examples/mpi4py_write.py"


@pytest.fixture
def mpi4py(program: str, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a program of Python on several ranks."""
    if importlib.util.find_spec("mpi4py") is None:
        missing("mpi4py is not installed")

    def run(ranks: int, *words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [*MPIRUN, "-n", str(ranks), sys.executable, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)

    return run


@pytest.mark.parametrize(
    ("ranks", "layout"), cases([(3, "shared"), (2, "per-rank")], [(5, "shared"), (4, "per-rank")])
)
def test_ranks_of_mpi4py_write_what_the_program_verifies(
    ranks: int,
    layout: str,
    mpi4py: Callable[..., subprocess.CompletedProcess[str]],
    program: str,
    tmp_path: Path,
) -> None:
    """With MPI-IO; and what is in the way stops all of them."""
    words = (EXAMPLE, "data", "--size", "10000001", "--layout", layout)
    done = mpi4py(ranks, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"10000001 bytes written by {ranks} ranks\n"
    dgen_mpi(program, "verify", tmp_path / "data", ranks=2)
    before = contents(tmp_path)
    again = mpi4py(ranks, *words)
    assert again.returncode != 0
    assert again.stderr.count("FileExistsError: ") == ranks
    assert contents(tmp_path) == before


FAILING = """
from mpi4py import MPI
from dgen_mpi import DataSet, DataSpec
comm = MPI.COMM_WORLD
try:
    with DataSet.create("data", DataSpec(1000, 1), comm=comm) as data:
        if comm.Get_rank() == 1:
            raise RuntimeError("of its own")
except (OSError, RuntimeError) as error:
    print(comm.gather(str(error)) or "", end="")
"""


def test_a_rank_that_fails_leaves_it_unfinished(
    mpi4py: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """The others do not wait for ever, and hear of it."""
    done = mpi4py(3, "-c", FAILING)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("another rank has not come to its end") == 2
    assert done.stdout.count("of its own") == 1
    assert said(tmp_path / "data")["status"] == "writing"


UNLIKE = """
from mpi4py import MPI
from dgen_mpi import DataSet, DataSpec
comm = MPI.COMM_WORLD
rank = comm.Get_rank()
asked = [
    (DataSpec(1000), {}),
    (DataSpec(1000 + rank, 1), {}),
    (DataSpec(1000, 1, zeros=None if rank else 0.5), {}),
    (DataSpec(1000, 1), {"align": 4096 << rank}),
    (DataSpec(1000, 1), {"ranks": 3 - rank}),
    (DataSpec(1000, 1) if rank else 1000, {}),
    (DataSpec(1000, 1), {"layout": "shared" if rank else 5}),
]
for spec, how in asked:
    try:
        DataSet.create("data", spec, comm=comm, **how)
    except (TypeError, ValueError) as error:
        print(comm.gather(f"{type(error).__name__}: {error}") or "", flush=True)
"""


def test_ranks_that_mean_different_data_write_none(
    mpi4py: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """As where each has drawn a seed; what one of them refuses, all do, and none waits."""
    done = mpi4py(3, "-c", UNLIKE)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line]
    wanted = [
        r"ValueError: seed: '\d+' is not accepted; give \d+, as rank 0 has",
        "ValueError: size: '1001' is not accepted; give 1000, as rank 0 has",
        "ValueError: zeros: 'None' is not accepted; give 0.5, as rank 0 has",
        "ValueError: align: '8192' is not accepted; give 4096, as rank 0 has",
        "ValueError: ranks: '2' is not accepted; give 3 or more",
        "TypeError: spec: '1000' is not accepted; give a DataSpec",
        "layout",
    ]
    for line, message in zip(lines, wanted, strict=True):
        assert len(re.findall(message, line)) == 3, line
    assert not list(tmp_path.iterdir())


STRANGERS = """
import os
from mpi4py import MPI
from dgen_mpi import DataSet, DataSpec, dataset
dataset.PATIENCE = 0.2
comm = MPI.COMM_WORLD
if comm.Get_rank() == 1:
    os.mkdir("other")
    os.chdir("other")
try:
    DataSet.create("data", DataSpec(1000, 1), comm=comm)
except OSError as error:
    print(comm.gather(str(error)) or "", end="")
"""


def test_ranks_that_mean_different_files_write_none(
    mpi4py: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """As where a folder is another one on each node; nothing is made anywhere."""
    done = mpi4py(3, "-c", STRANGERS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the ranks do not share it") == 3
    assert done.stdout.count("not seen by rank 1;") == 3
    assert [path.name for path in tmp_path.rglob("*")] == ["other"]
