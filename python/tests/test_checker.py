# SPDX-License-Identifier: MIT OR Apache-2.0
"""A file that compares what is written to it, whatever writes it."""

from __future__ import annotations

import io
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from conftest import chance

from dgen_mpi import DataChecker, DataReader, DataSpec, UnsuitableBufferError

MIB = 1 << 20
SPEC = DataSpec(10 * MIB + 77, 5, compress_ratio=2)


def whole(spec: DataSpec = SPEC) -> bytearray:
    """Return a data set."""
    buffer = bytearray(spec.size)
    spec.fill(buffer)
    return buffer


def written(data: Any, pieces: int, **how: Any) -> DataChecker:
    """Return a closed checker that got some bytes in pieces."""
    with DataChecker(SPEC, **how) as checker:
        for start in range(0, len(data), pieces):
            part = memoryview(data)[start : start + pieces]
            assert checker.write(part) == len(part)
    return checker


@pytest.mark.parametrize("pieces", [100_003, 4 * MIB, 9 * MIB, 64 * MIB])
def test_what_is_right_is_right_in_any_pieces(pieces: int) -> None:
    """All of it, and a range."""
    data = whole()
    checker = written(data, pieces)
    assert checker.is_right
    assert checker.damage == []
    part = written(data[4_000_001:9_000_003], pieces, offset=4_000_001, length="5000002")
    assert part.is_right
    assert (part.missing_bytes, part.excess_bytes) == (0, 0)


def test_what_copies_streams_writes_to_it() -> None:
    """Buffered or not, arrays too."""
    with DataChecker(SPEC) as checker:
        shutil.copyfileobj(DataReader(SPEC), checker)
        assert checker.tell() == SPEC.size
    assert checker.is_right
    checker = DataChecker(SPEC)
    with io.BufferedWriter(checker, 1 << 16) as buffered:
        buffered.write(whole())
    assert checker.is_right
    numbers = np.frombuffer(whole(DataSpec(8000, 1)), dtype=np.float64).reshape(10, 100)
    assert DataChecker(DataSpec(8000, 1)).write(numbers) == 8000
    assert not checker.readable()
    checker = DataChecker(SPEC)
    for call in (checker.read, checker.readall, checker.readline, checker.truncate, checker.fileno):
        with pytest.raises(io.UnsupportedOperation, match=r"."):
            call()
    with pytest.raises(io.UnsupportedOperation, match="only written to"):
        checker.readinto(bytearray(1))
    checker.close()
    with pytest.raises(ValueError, match="closed"):
        checker.write(b"")


def test_what_is_wrong_is_found_as_a_comparison_finds_it() -> None:
    """Damage at random, in pieces at random; ranges that go on over the pieces are one."""
    random = chance(22)
    for _ in range(10):
        data = whole()
        for _ in range(random.randrange(1, 20)):
            start = random.randrange(len(data))
            length = min(random.choice([1, 100, 5000, 70_000]), len(data) - start)
            data[start : start + length] = bytes(length)
        # No range of zeros ends where a step does.
        data[4 * MIB - 5000 : 4 * MIB + 3000] = bytes(8000)
        data[8 * MIB - 5000 : 8 * MIB + 3000] = whole()[8 * MIB - 5000 : 8 * MIB + 3000]
        expected = SPEC.compare(data)
        checker = written(data, random.randrange(10_000, 9 * MIB))
        found = checker.damage
        assert not checker.is_right
        assert found.wrong_bytes == expected.wrong_bytes
        assert found.range_bytes == expected.range_bytes
        assert [(each.offset, each.bytes, each.wrong_bytes) for each in found] == [
            (each.offset, each.bytes, each.wrong_bytes) for each in expected
        ]
        assert found.last == expected.last


def test_a_long_hole_is_one_range() -> None:
    """Over several steps, with the kind that it has."""
    data = whole()
    data[MIB : 9 * MIB] = bytes(8 * MIB)
    (hole,) = written(data, 100_000).damage
    assert (hole.offset, hole.kind) == (SPEC.compare(data)[0].offset, "zeros")
    assert hole.offset + hole.bytes == 9 * MIB


def test_what_is_missing_or_too_much_is_told() -> None:
    """A stream that is cut, one that goes on, one that is moved."""
    data = whole()
    cut = written(data[:-1000], 50_000)
    assert not cut.is_right
    assert [(each.offset, each.bytes, each.kind) for each in cut.damage] == [
        (SPEC.size - 1000, 1000, "truncated")
    ]
    more = written(data + b"more", 50_000)
    assert (more.is_right, more.excess_bytes, more.damage.range_count) == (False, 4, 0)
    # A part that is dropped moves all that follows.
    moved = written(data[:MIB] + data[2 * MIB :], MIB)
    assert moved.damage[0].kind == "misplaced"
    assert moved.damage[0].source_offset == moved.damage[0].offset + MIB


def test_no_more_ranges_are_kept_than_asked_for() -> None:
    """All are counted."""
    data = whole()
    data[::100_000] = bytes(byte ^ 1 for byte in data[::100_000])
    expected = SPEC.compare(data, limit=10)
    found = written(data, 1_000_000, limit=10).damage
    assert len(found) == len(expected) == 10
    assert list(map(tuple, found)) == list(map(tuple, expected))
    counts = ("range_count", "range_bytes", "wrong_bytes", "last")
    assert [getattr(found, name) for name in counts] == [getattr(expected, name) for name in counts]


def test_threads_may_share_one() -> None:
    """Each call is the next part; what is in it may be seen from its damage alone."""
    spec = DataSpec(MIB, 3, fill="zeros")
    checker = DataChecker(spec)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(checker.write, [bytes(1000)] * 2000))
    assert checker.tell() == 2_000_000
    assert checker.excess_bytes == 2_000_000 - MIB
    assert checker.missing_bytes == 0


def test_what_is_missing_is_noted_once() -> None:
    """Also where several threads close it at once, and one of them still compares."""
    spec = DataSpec(10 * MIB, 3)
    for _ in range(20):
        checker = DataChecker(spec)
        checker.write(bytes(3 * MIB))
        start = threading.Barrier(8)

        def close() -> None:
            start.wait()  # noqa: B023
            checker.close()  # noqa: B023

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(close) for _ in range(8)]:
                done.result()
        assert [damage.kind for damage in checker.damage] == ["zeros", "truncated"]
        assert checker.damage.range_bytes == spec.size


def test_arrays_of_any_shape_are_written() -> None:
    """Empty ones as well; what is not in one piece is refused as elsewhere."""
    checker = DataChecker(DataSpec(192, 3))
    assert checker.write(np.zeros((0, 3))) == 0
    assert checker.write(np.zeros((4, 6))) == 192
    for array in (np.zeros((4, 6))[:, ::2], np.zeros((4, 6), order="F")):
        with pytest.raises(UnsuitableBufferError, match="in one piece"):
            checker.write(array)
    assert checker.tell() == 192


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((100,), TypeError, "spec: '100' is not accepted; give a DataSpec"),
        ((SPEC, SPEC.size + 1), ValueError, "offset: '10485838' is not accepted"),
        ((SPEC, 1, SPEC.size), ValueError, "length: '10485837' is not accepted"),
        ((SPEC, -1), ValueError, "offset: '-1' is not accepted"),
    ],
)
def test_wrong_arguments_are_named(arguments: Any, error: type[Exception], message: str) -> None:
    """When a reader or a checker is made, not later."""
    for kind in (DataReader, DataChecker):
        with pytest.raises(error, match=message):
            kind(*arguments)
    refused = DataChecker.__new__(DataChecker)
    refused.close()
    assert refused.closed
