# SPDX-License-Identifier: MIT OR Apache-2.0
"""The streams look like chance to dieharder: as one is, dealt to 64 ranks, and of many contents.

What a seed for each rank would spoil is seen where the words of all shards take turns: shards that
overlap or resemble each other do not look like chance then. Contents, and what becomes of one, have
streams of their own, of which the beginnings are joined. `DGEN_STATISTICS=all` (`make
statistics`) runs every test that dieharder has, with other seeds too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest
import reference
from conftest import cases, missing

from dgen_mpi import DataSpec

RANKS = 64
SHARD = 1 << 39
"""Bytes of each rank's shard: the data set has 32 TiB, of which the tests read some hundred MiB."""

ALL = os.environ.get("DGEN_STATISTICS") == "all"

TESTS = (
    ["-a"]
    if ALL
    # Some seconds: birthdays, 6x8 ranks, counted ones, runs, bits, serial patterns, a transform.
    else [f"-d{number}" for number in (0, 3, 8, 15, 100, 102, 206)]
)

Words = npt.NDArray[np.uint64]


def stream(spec: DataSpec) -> Iterator[Words]:
    """Yield the data set from its start."""
    offset = 0
    while True:
        words = np.empty(1 << 17, np.uint64)
        offset += spec.fill(words, offset)
        yield words


def shards(spec: DataSpec, of: Callable[[int], int] = lambda rank: rank) -> Iterator[Words]:
    """Yield words of all shards in turn: the first of each, the second of each and so on."""
    offset = 0
    while True:
        rows = np.empty((RANKS, 2048), np.uint64)
        for rank, row in enumerate(rows):
            spec.fill(row, of(rank) * SHARD + offset)
        offset += rows[0].nbytes
        yield np.ascontiguousarray(rows.T)


def joined(spec: DataSpec) -> Iterator[Words]:
    """Yield a MiB of each shard in turn, as ranks write them side by side."""
    offset = 0
    while True:
        for rank in range(RANKS):
            words = np.empty(1 << 17, np.uint64)
            spec.fill(words, rank * SHARD + offset)
            yield words
        offset += 1 << 20


def contents(number: int) -> Iterator[Words]:
    """Yield contents of 512 bytes, one after the other as they are numbered."""
    # Blocks that all stay neighbours are not scattered, and each has a content of its own.
    return stream(DataSpec(1 << 40, number, dedup_unit=512, run=1 << 40))


def versions(number: int) -> Iterator[Words]:
    """Yield what a content of 4 KiB is in each generation, one after the other."""
    generation = 0
    while True:
        words = np.empty((64, 512), np.uint64)
        for row in words:
            spec = DataSpec(4096, number, dedup_unit=4096, change=1, generation=generation)
            spec.fill(row)
            generation += 1
        yield words


def assess(words: Iterator[Words], option: str) -> list[tuple[str, float]]:
    """Return the name and the p-value of each test that dieharder makes of words."""
    if shutil.which("dieharder") is None:
        missing("dieharder")
    # Raw numbers from the standard input, one line for each test; p-values alone matter.
    process = subprocess.Popen(
        ["dieharder", "-g", "200", "-c", ",", "-D", "test_name", "-D", "pvalues", option],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    # It takes what it needs, and goes.
    with contextlib.suppress(BrokenPipeError):
        for part in words:
            process.stdin.write(memoryview(part).cast("B"))
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    text = process.stdout.read().decode()
    process.stdout.close()
    assert process.wait(60) == 0, text
    found = [line.split(",") for line in text.splitlines() if line.count(",") == 1]
    return [(name.strip(), float(value)) for name, value in found]


def suspects(found: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Return the tests whose p-value chance brings once in a million times."""
    assert found, "dieharder has said nothing"
    return [(name, value) for name, value in found if not 5e-7 < value < 1 - 5e-7]


@pytest.mark.parametrize("arrangement", [stream, joined, shards])
@pytest.mark.parametrize("seed", [1, 2, 2**64 - 1] if ALL else [1])
@pytest.mark.parametrize("option", TESTS if ALL else cases(TESTS[:1], TESTS[1:]))
def test_the_stream_looks_like_chance(
    option: str, seed: int, arrangement: Callable[[DataSpec], Iterator[Words]]
) -> None:
    """As it is, with shards side by side, and with the words of shards in turn."""
    spec = DataSpec(RANKS * SHARD, seed)
    assert suspects(assess(arrangement(spec), option)) == []


@pytest.mark.parametrize("arrangement", [contents, versions])
@pytest.mark.parametrize("seed", [1, 2, 2**64 - 1] if ALL else [1])
@pytest.mark.parametrize("option", TESTS if ALL else cases(TESTS[:1], TESTS[1:]))
def test_contents_look_like_chance(
    option: str, seed: int, arrangement: Callable[[int], Iterator[Words]]
) -> None:
    """Many of them side by side, and one over its generations."""
    assert suspects(assess(arrangement(seed), option)) == []


@pytest.mark.parametrize("arrangement", [contents, versions])
def test_what_is_joined_is_what_the_format_says(
    arrangement: Callable[[int], Iterator[Words]],
) -> None:
    """No content is there twice, and each is its number's: by the text of the format."""
    found = next(arrangement(7)).tobytes()
    if arrangement is contents:
        sets = [reference.Set(1 << 40, 7, block=512, run=1 << 40)] * 40
        truth = [one.block_bytes(number) for number, one in enumerate(sets)]
        assert [sets[0].location(number) for number in (0, 39)] == [(0, 1000, 0), (39, 1000, 0)]
    else:
        every = [(1_000_000, 1_000_000)]
        sets = [reference.Set(4096, 7, change=every, generation=it) for it in range(40)]
        truth = [one.block_bytes(0) for one in sets]
        assert [one.location(0) for one in sets] == [(0, 1000, it) for it in range(40)]
    assert found.startswith(b"".join(truth))


def test_shards_that_overlap_do_not() -> None:
    """What the tests above would see: two ranks that have the same shard."""
    spec = DataSpec(RANKS * SHARD, 1)
    assert suspects(assess(shards(spec, lambda rank: rank & ~1), "-d206"))


def test_no_word_is_in_two_shards() -> None:
    """In the first MiB of each: 2**23 words of 64 bits meet by chance once in 10**5 times."""
    spec = DataSpec(RANKS * SHARD, 1)
    words = np.empty((RANKS, 1 << 17), np.uint64)
    for rank, row in enumerate(words):
        spec.fill(row, rank * SHARD)
    ordered = np.sort(words, axis=None)
    assert (ordered[1:] != ordered[:-1]).all()
