# SPDX-License-Identifier: MIT OR Apache-2.0
"""The examples run as they stand, and say what they should."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dgen_mpi import DataSpec

PYTHON = Path(__file__).parents[1]
PROGRAM = os.environ.get("DGEN_MPI_PROGRAM", "")


def run(script: str, *arguments: str | Path, cwd: Path, folder: str = "examples") -> str:
    """Run an example and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", PYTHON / folder / script, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd,
        env={**os.environ, "MPLBACKEND": "agg"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_numpy_is_filled(tmp_path: Path) -> None:
    """Three ways, the same bytes."""
    shown = run("fill_numpy.py", cwd=tmp_path)
    assert "stream equals one call: True" in shown
    assert "range equals one call: True" in shown
    assert "1000 vectors of length 1.0000" in shown or "0.9999" in shown


def test_a_file_is_written(tmp_path: Path) -> None:
    """Its bytes are those of the data set."""
    shown = run("stream_to_file.py", "data", "--size", "10000001", cwd=tmp_path)
    assert shown == "10000001 bytes written and read back, 0 of them wrong\n"
    spec = DataSpec(10_000_001, 42, dedup_ratio=2, compress_ratio=1.5)
    assert spec.compare((tmp_path / "data").read_bytes()) == []


def test_uploads_run_at_once(tmp_path: Path) -> None:
    """Four of them."""
    assert run("asynchronous.py", cwd=tmp_path).count("20971520 bytes") == 4


def test_ratios_are_confirmed_and_drawn(tmp_path: Path) -> None:
    """Compressors find what was asked for, and the picture is one."""
    shown = run("ratios.py", "ratios.png", "--size", "15", cwd=tmp_path)
    rows = [[float(cell) for cell in line.split()] for line in shown.splitlines()[1:]]
    assert [row[0] for row in rows] == [1, 1.25, 1.5, 2, 3, 4, 5]
    for asked, lz4, zstd, _, dedup in rows:
        assert abs(lz4 / asked - 1) < 0.01
        assert -0.005 < zstd / asked - 1 < 0.03
        assert abs(dedup - 15 / max(1, int(15 / asked + 0.5))) < 0.001
    assert (tmp_path / "ratios.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(
    not PROGRAM or shutil.which("mpirun") is None,
    reason="DGEN_MPI_PROGRAM does not name the program, or there is no mpirun",
)
def test_a_slice_of_what_ranks_wrote_is_checked(tmp_path: Path) -> None:
    """Five ranks write; Python makes and compares a slice at an odd offset."""
    data = tmp_path / "data"
    command = ["mpirun", "--oversubscribe", "-n", "5", PROGRAM, "-o", data, "-s", "50000001"]
    command += ["--seed", "9", "--dedup-ratio", "1.5", "--compress-ratio", "2.5", "--quiet"]
    subprocess.run(command, check=True, timeout=120)
    found = data.read_bytes()[31_234_567:31_334_567]
    made = bytearray(len(found))
    DataSpec.from_manifest(data).fill(made, 31_234_567)
    assert made == found
    shown = run("check_slice.py", data, "31234567", "100000", cwd=tmp_path)
    assert shown == "100000 bytes at 31234567 are right\n"
    with data.open("r+b") as file:
        file.seek(31_300_000)
        file.write(b"damage")
    done = subprocess.run(
        [sys.executable, PYTHON / "examples/check_slice.py", data, "31234567", "100000"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stdout == "damaged: 6 bytes at 31300000, 6 wrong\n"


def test_the_benchmark_runs(tmp_path: Path) -> None:
    """With the peers that are there; figures are not judged here."""
    arguments = ["--repeat", "1", "--milliseconds", "1", "--quick"]
    shown = run("buffers.py", *arguments, cwd=tmp_path, folder="benchmarks")
    assert "fill_chunk, 1 MiB" in shown
    assert "dgen-mpi" in shown
    shown = run("checksums.py", *arguments, cwd=tmp_path, folder="benchmarks")
    assert "crc64nvme of 256 KiB" in shown
    assert "with crc64nvme" in shown


STANDS_FOR_CUPY = """
import numpy

uint8 = numpy.uint8
asnumpy = numpy.asarray

class ndarray(numpy.ndarray):
    def set(self, found):
        self[:] = found

def empty(count, kind):
    return numpy.empty(count, kind).view(ndarray)

class cuda:
    alloc_pinned_memory = bytearray

    class get_current_stream:
        def synchronize(self):
            pass
"""

STANDS_FOR_KVIKIO = """
import os

class CuFile:
    def __init__(self, path, flags):
        self.file = open(path, flags + "b", 0)

    def read(self, array, file_offset):
        assert file_offset + array.size <= os.fstat(self.file.fileno()).st_size
        return os.preadv(self.file.fileno(), [array.data], file_offset)

    def write(self, array, file_offset):
        return os.pwrite(self.file.fileno(), array.data, file_offset)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
"""


@pytest.mark.parametrize("has_kvikio", [False, True])
def test_files_of_a_gpu_are_written_and_read(tmp_path: Path, has_kvikio: bool) -> None:
    """With arrays on the host for those on a GPU: what is done with files is the same."""
    (tmp_path / "cupy.py").write_text(STANDS_FOR_CUPY)
    (tmp_path / "kvikio.py").write_text(
        STANDS_FOR_KVIKIO if has_kvikio else "raise ImportError('kvikio')"
    )
    # Several parts, the last one short.
    for script in ("gpu_write.py", "gpu_read.py"):
        text = (PYTHON / "examples" / script).read_text()
        assert "256 << 20" in text
        (tmp_path / script).write_text(text.replace("256 << 20", "1 << 20"))

    def told(script: str, *arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", script, "data", *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=tmp_path,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    data, size = tmp_path / "data", ("--size", "3000001")
    data.write_text("precious")
    assert "data" in told("gpu_write.py", *size, status=1)
    assert data.read_text() == "precious"
    data.unlink()
    assert "3000001 bytes made" in told("gpu_write.py", *size)
    assert DataSpec.from_manifest(data).compare(data.read_bytes()) == []
    assert told("gpu_read.py") == "3000001 bytes compared on the GPU, 0 of them wrong\n"
    found = bytearray(data.read_bytes())
    found[2_500_000] ^= 1
    data.write_bytes(found)
    assert "bit_flips: 1 bytes at 2500000" in told("gpu_read.py", status=1)
    data.write_bytes(found[:2_000_000])
    assert "1000001 bytes are not there, 0 are too many" in told("gpu_read.py", status=1)
    found[2_500_000] ^= 1
    data.write_bytes(found + b"more")
    assert "0 bytes are not there, 4 are too many" in told("gpu_read.py", status=1)
