# SPDX-License-Identifier: MIT OR Apache-2.0
"""Ratios that real compressors and hashes confirm, at every unit that storage uses."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from dgen_mpi import DataSpec
from dgen_mpi.analyze import analyze

KIB, MIB = 1 << 10, 1 << 20
UNITS = [4 * KIB << power for power in range(9)]
assert UNITS[-1] == MIB
CODECS = ["lz4", "zstd-1", "zstd", "snappy"]


def data(path: Path, size: int, **spec: Any) -> Path:
    """Write a data set into a file, with nothing but the package."""
    made = bytearray(size)
    DataSpec(size, 7, **spec).fill(made)
    path.write_bytes(made)
    return path


@pytest.mark.parametrize("ratio", [1, 1.25, 1.5, 2, 3, 5, 10])
def test_compressors_reach_what_was_requested(ratio: float, tmp_path: Path) -> None:
    """At every unit from 4 KiB to 1 MiB; lz4 and zstd within a few percent."""
    path = data(tmp_path / "f", 4 * MIB, compress_ratio=ratio)
    found = analyze(path, dedup_units=(), chunk_units=(), compress_units=UNITS, codecs=CODECS)
    assert len(found["compression"]) == len(UNITS) * len(CODECS)
    for measured in found["compression"]:
        error = measured["ratio"] / ratio - 1
        where = f"{measured['codec']} at {measured['unit']}: {measured['ratio']:.4f}"
        if measured["codec"] == "lz4":
            assert abs(error) <= (0.01 if ratio <= 5 else 0.02), where
        elif measured["codec"] != "snappy":
            assert -0.005 <= error <= (0.03 if ratio <= 5 else 0.07), where
        elif ratio <= 3:
            assert abs(error) <= 0.10, where


@pytest.mark.parametrize("ratio", [2, 4])
def test_sectors_of_four_kib_keep_the_ratio(ratio: int, tmp_path: Path) -> None:
    """What 128 KiB compress to, rounded up to sectors, is the request exactly."""
    import zstandard

    made = data(tmp_path / "f", 8 * MIB, compress_ratio=ratio).read_bytes()
    compress = zstandard.ZstdCompressor(level=3).compress
    units = [made[start : start + 128 * KIB] for start in range(0, len(made), 128 * KIB)]
    sectors = sum(-(-len(compress(unit)) // 4096) for unit in units)
    assert sectors * 4096 * ratio == len(made)


@pytest.mark.parametrize("ratio", [1, 1.5, 2, 3, 4, 10])
@pytest.mark.parametrize("compress", [1, 1.5, 4])
def test_dedup_is_exact_at_every_divisor_of_its_unit(
    ratio: float, compress: float, tmp_path: Path
) -> None:
    """Down to 512 bytes, whatever the compress ratio: compression adds no duplicates."""
    unit = 64 * KIB
    path = data(
        tmp_path / "f", 120 * unit, dedup_ratio=ratio, compress_ratio=compress, dedup_unit=unit
    )
    made = path.read_bytes()
    for part in (unit >> power for power in range(8)):
        pieces = [made[start : start + part] for start in range(0, len(made), part)]
        distinct = {hashlib.blake2b(piece, digest_size=16).digest() for piece in pieces}
        assert len(pieces) / len(distinct) == ratio, part


def test_dedup_adds_no_compressibility(tmp_path: Path) -> None:
    """Copies lie far from each other."""
    path = data(tmp_path / "f", 16 * MIB, dedup_ratio=4)
    found = analyze(path, dedup_units=(), chunk_units=(), compress_units=[MIB], codecs=CODECS)
    assert {round(measured["ratio"], 3) for measured in found["compression"]} == {1.0}
