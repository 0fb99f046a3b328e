# SPDX-License-Identifier: MIT OR Apache-2.0
"""Ratios that real compressors and hashes confirm, at every unit that storage uses."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import pytest

from dgen_mpi import DataSpec
from dgen_mpi.analyze import analyze, compressor

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


MIXES: list[dict[float, str]] = [
    {1: "0.3", 2: "0.5", 4: "0.2"},
    {1: "0.5", 1.5: "0.25", 3: "0.25"},
    {1.25: "0.1", 10: "0.9"},
]


def parts(number: int, shares: dict[float, str]) -> dict[float, int]:
    """Return how many contents have each ratio: borders are rounded down."""
    total, before, found = Fraction(0), 0, {}
    for ratio, share in shares.items():
        total += Fraction(share)
        found[ratio] = floor(number * total) - before
        before += found[ratio]
    return found


def mean(counts: dict[float, int]) -> float:
    """Return the ratio of contents of equal length together."""
    return sum(counts.values()) / sum(count / ratio for ratio, count in counts.items())


@pytest.mark.parametrize("mix", MIXES)
def test_mixes_reach_what_was_requested(mix: dict[float, str], tmp_path: Path) -> None:
    """On average within the tolerances of one ratio, and each content has the ratio it should."""
    unit, number = 64 * KIB, 101
    path = data(tmp_path / "f", number * unit, compress_mix=mix, dedup_unit=unit, run=3)
    wanted = parts(number, mix)
    units = [4 * KIB, unit]
    found = analyze(path, dedup_units=(), chunk_units=(), compress_units=units, codecs=CODECS[:3])
    for measured in found["compression"]:
        error = measured["ratio"] / mean(wanted) - 1
        where = f"{measured['codec']} at {measured['unit']}: {measured['ratio']:.4f}"
        if measured["codec"] == "lz4":
            assert abs(error) <= 0.01, where
        else:
            assert -0.005 <= error <= (0.03 if max(mix) <= 5 else 0.07), where
    lz4, made = compressor("lz4"), memoryview(path.read_bytes())
    ratios = [unit / len(lz4(made[start : start + unit])) for start in range(0, len(made), unit)]
    assert Counter(min(mix, key=lambda it: abs(got / it - 1)) for got in ratios) == wanted


def test_units_of_several_contents_keep_most_of_a_mix(tmp_path: Path) -> None:
    """A compressor finds what compresses next to what does not: up to a few percent are lost."""
    mix, number = MIXES[0], 2048
    path = data(tmp_path / "f", number * 4 * KIB, compress_mix=mix, dedup_unit=4 * KIB)
    units = [4 * KIB, 64 * KIB]
    found = analyze(path, dedup_units=(), chunk_units=(), compress_units=units, codecs=CODECS[:3])
    for measured in found["compression"]:
        error = measured["ratio"] / mean(parts(number, mix)) - 1
        least = -0.01 if measured["unit"] == 4 * KIB else -0.04
        assert least <= error <= 0.03, f"{measured['codec']} at {measured['unit']}: {error:.4f}"


def digests(made: bytes, unit: int) -> list[bytes]:
    """Return what tells pieces of equal length apart."""
    pieces = (made[start : start + unit] for start in range(0, len(made), unit))
    return [hashlib.blake2b(piece, digest_size=16).digest() for piece in pieces]


def classes(number: int, shares: dict[int, str]) -> dict[int, int]:
    """Return how many contents have so many copies: the nearest number, all others have one."""
    found = {
        copies: floor(number * Fraction(share) / copies + Fraction(1, 2))
        for copies, share in shares.items()
    }
    return found | {1: number - sum(copies * count for copies, count in found.items())}


COPIES: list[tuple[dict[int, str], str]] = [
    ({2: "0.2927", 3: "0.0195"}, "0.05"),
    ({2: "0.3", 5: "0.111", 700: "0.25"}, "0.000001"),
    ({4: "0.5"}, "0.123456"),
]


@pytest.mark.parametrize("run", [1, 16])
@pytest.mark.parametrize(("copies", "zeros"), COPIES)
@pytest.mark.parametrize("unit", [512, 4 * KIB])
def test_copies_and_zeros_are_exact(
    unit: int, copies: dict[int, str], zeros: str, run: int, tmp_path: Path
) -> None:
    """Class by class, at the block; in 512 bytes nothing else is there twice."""
    number, mix = 2801, MIXES[0]
    how: dict[str, Any] = {"copies": copies, "zeros": zeros, "compress_mix": mix, "run": run}
    made = data(tmp_path / "f", number * unit, dedup_unit=unit, **how).read_bytes()
    counts = Counter(digests(made, unit))
    empty = counts.pop(digests(bytes(unit), unit)[0], 0)
    assert empty == floor(number * Fraction(zeros) + Fraction(1, 2))
    wanted = classes(number, copies)
    assert Counter(counts.values()) == wanted | {1: wanted[1] - empty}
    pieces = len(set(digests(made, 512)))
    assert pieces == len(counts) * (unit // 512) + (1 if empty else 0)


@pytest.mark.parametrize(("ratio", "zeros"), [(2.5, "0.1"), (1, "0.5"), (3, "0.333333")])
def test_a_dedup_ratio_is_exact_beside_zeros(ratio: float, zeros: str, tmp_path: Path) -> None:
    """Of what is not zeros, and all contents have as many copies, give or take one."""
    number, unit = 1999, 4 * KIB
    how: dict[str, Any] = {"dedup_ratio": ratio, "zeros": zeros, "dedup_unit": unit}
    made = data(tmp_path / "f", number * unit, **how).read_bytes()
    counts = Counter(digests(made, unit))
    left = number - counts.pop(digests(bytes(unit), unit)[0])
    assert left == number - floor(number * Fraction(zeros) + Fraction(1, 2))
    assert len(counts) == floor(left / Fraction(ratio) + Fraction(1, 2))
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize(
    ("change", "rings", "share"),
    [("7%", 1, lambda steps: 0.07 * steps), ("10%:15%,60%:3%", 2, lambda steps: 0.033 * steps)],
)
def test_each_class_changes_by_the_same_share(
    change: str, rings: int, share: Callable[[int], float], tmp_path: Path
) -> None:
    """Within one content of each ring, from generation to generation; copies and zeros stay."""
    number, unit = 3001, 4 * KIB
    copies, zeros = COPIES[0]
    how: dict[str, Any] = {"copies": copies, "zeros": zeros, "change": change, "dedup_unit": unit}
    blocks = {
        it: digests(data(tmp_path / "f", number * unit, generation=it, **how).read_bytes(), unit)
        for it in (0, 1, 5)
    }
    counts = {it: Counter(several) for it, several in blocks.items()}
    assert len({tuple(map(counts[it].__getitem__, blocks[it])) for it in blocks}) == 1
    contents = Counter(counts[0].values())
    for before, now in ((0, 1), (1, 5)):
        pairs = set(zip(blocks[before], blocks[now], strict=True))
        changed = Counter(counts[now][new] for old, new in pairs if old != new)
        assert len(pairs) == len(counts[now])
        # What has changed is nowhere else, neither then nor now.
        news = {new for old, new in pairs if old != new}
        assert news.isdisjoint(counts[0] | counts[before])
        for several in (1, *copies):
            assert abs(changed[several] - share(now - before) * contents[several]) <= rings
        assert set(changed) <= {1, *copies}
