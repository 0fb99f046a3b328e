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
