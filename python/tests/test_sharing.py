# SPDX-License-Identifier: MIT OR Apache-2.0
"""What threads may share: every byte is given out once, and none beyond the end."""

from __future__ import annotations

import asyncio
import copy
import io
import multiprocessing
import os
import pickle
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from conftest import rounds

from dgen_mpi import BufferPool, BytesView, DataReader, DataSpec, Generator, generate_buffer

THREADS = 8
PIECE = 512
ROUNDS = rounds(2, 40)
SPEC = DataSpec(300_003, 6, compress_ratio=1.5)


@pytest.fixture(autouse=True)
def _often() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def whole(spec: DataSpec = SPEC) -> bytes:
    """Return a data set."""
    buffer = bytearray(spec.size)
    spec.fill(buffer)
    return bytes(buffer)


def together(take: Callable[[], bytes], count: int = THREADS) -> list[bytes]:
    """Return what threads get that call `take` at once, each until it gets nothing."""
    start = threading.Barrier(count)

    def work(_: int) -> list[bytes]:
        start.wait()
        return list(iter(take, b""))

    with ThreadPoolExecutor(count) as pool:
        return [piece for pieces in pool.map(work, range(count)) for piece in pieces]


def into(read: Callable[[Any], int], buffer: Callable[[], Any]) -> bytes:
    """Return what a call fills a new buffer with."""
    made = buffer()
    return memoryview(made).cast("B")[: read(made)].tobytes()


READS: dict[str, Callable[[DataReader], Callable[[], bytes]]] = {
    "read": lambda reader: lambda: reader.read(PIECE) or b"",
    "readinto": lambda reader: lambda: into(reader.readinto, lambda: bytearray(PIECE)),
    "array": lambda reader: lambda: into(reader.readinto, lambda: np.zeros(PIECE // 8)),
    "buffered": lambda reader: (
        lambda buffered: lambda: buffered.read(PIECE)  # type: ignore[no-any-return]
    )(io.BufferedReader(reader, 8 * PIECE)),
}


@pytest.mark.parametrize("kind", READS)
def test_pieces_of_a_reader_are_given_once(kind: str) -> None:
    """Each whole and in its place, and all of them."""
    expected = whole()
    pieces = Counter(expected[i : i + PIECE] for i in range(0, len(expected), PIECE))
    for _ in range(ROUNDS):
        reader = DataReader(SPEC)
        assert Counter(together(READS[kind](reader))) == pieces
        # What buffers it closes it at its end.
        assert reader.closed or (reader.tell(), reader.read(1)) == (SPEC.size, b"")


def test_pieces_of_any_length_are_given_once() -> None:
    """They are those between the places where one ended and another began."""
    spec = DataSpec(300_003, 6)
    for _ in range(ROUNDS):
        reader = DataReader(spec)
        lengths = iter(range(1, 1_000_000))
        pieces = together(lambda: reader.read(next(lengths) % 700 + 8) or b"")  # noqa: B023
        expected = whole(spec)
        # The last one may be so short that its bytes are elsewhere, too.
        places = sorted(
            (expected.index(piece) if len(piece) >= 8 else spec.size - len(piece), len(piece))
            for piece in pieces
        )
        assert [start for start, _ in places] == [
            0,
            *(start + length for start, length in places[:-1]),
        ]
        assert sum(length for _, length in places) == spec.size == reader.tell()


def test_lines_of_a_reader_are_given_once() -> None:
    """Iterating too gives whole lines."""
    spec = DataSpec(20_000, 3)
    expected = Counter(io.BytesIO(whole(spec)).readlines())
    reader = DataReader(spec)
    assert Counter(together(lambda: next(reader, b""))) == expected
    reader = DataReader(spec)
    assert Counter(together(reader.readline)) == expected
    reader = DataReader(spec)
    lines = Counter[bytes]()

    def take() -> bytes:
        found = reader.readlines(100)
        lines.update(found)
        return b"".join(found)

    assert sum(map(len, together(take))) == spec.size
    assert sum(lines.values()) == sum(expected.values())


def test_the_rest_of_a_reader_is_given_once() -> None:
    """To whoever asks first; others get what they ask for before it, or nothing."""
    for _ in range(ROUNDS * 5):
        reader = DataReader(SPEC)
        calls = iter([reader.readall, lambda: reader.read(PIECE), reader.read] * THREADS)  # noqa: B023
        pieces = together(lambda: next(calls)() or b"")  # noqa: B023
        assert sum(map(len, pieces)) == SPEC.size
        assert reader.tell() == SPEC.size


def test_seeking_from_where_one_is_counts_for_all() -> None:
    """Steps of many threads add up."""
    reader = DataReader(SPEC)
    steps = 500

    def step(_: int) -> None:
        for _ in range(steps):
            reader.seek(3, os.SEEK_CUR)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(step, range(THREADS)))
    assert reader.tell() == 3 * steps * THREADS


def test_a_refused_buffer_takes_nothing() -> None:
    """The next call gets the bytes."""
    reader = DataReader(SPEC)
    with pytest.raises(BufferError):
        reader.readinto(b"read-only")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        reader.readinto("text")  # type: ignore[arg-type]
    with pytest.raises((MemoryError, OverflowError)):
        DataReader(DataSpec(1 << 62, 1)).read(1 << 61)
    endless = DataReader(DataSpec(1 << 62, 1))
    with pytest.raises(MemoryError):
        endless.read()
    assert (reader.tell(), endless.tell()) == (0, 0)


def test_copies_of_a_reader_have_places_of_their_own() -> None:
    """Also in another process."""
    reader = DataReader(SPEC)
    reader.read(100)
    for other in (copy.copy(reader), pickle.loads(pickle.dumps(reader))):
        assert other.read(50) == whole()[100:150]
        assert reader.tell() == 100


def test_a_forked_process_goes_on_with_a_reader() -> None:
    """Also where another thread was reading a line when it was forked."""
    reader = DataReader(SPEC)
    stop = threading.Event()

    def use() -> None:
        while not stop.is_set():
            reader.readline()
            reader.seek(0)

    busy = threading.Thread(target=use)
    busy.start()
    try:
        context = multiprocessing.get_context("fork")
        for _ in range(10):
            process = context.Process(target=_read_in_child, args=(reader,))
            process.start()
            process.join(30)
            assert process.exitcode == 0
    finally:
        stop.set()
        busy.join()


def _read_in_child(reader: DataReader) -> None:
    reader.seek(10)
    assert reader.read(100) == whole()[10:110]


GENERATED: dict[str, Callable[[Generator], Callable[[], bytes]]] = {
    "fill_chunk": lambda made: lambda: into(made.fill_chunk, lambda: bytearray(PIECE)),
    "get_chunk": lambda made: lambda: bytes(made.get_chunk(PIECE) or b""),
    "iterated": lambda made: (lambda chunks: lambda: bytes(next(chunks, b"")))(iter(made)),
    "asynchronous": lambda made: lambda: asyncio.run(_chunk(made)),
}


async def _chunk(generator: Generator) -> bytes:
    found: BytesView | None = await generator.get_chunk_async(PIECE)
    return bytes(found or b"")


@pytest.mark.parametrize("kind", GENERATED)
def test_chunks_of_a_generator_are_given_once(kind: str) -> None:
    """By functions, by one iterator for all threads, and by event loops in several of them."""
    size = 40_003 if kind == "asynchronous" else 300_003
    expected = whole(DataSpec(size, 6))
    pieces = Counter(expected[i : i + PIECE] for i in range(0, size, PIECE))
    for _ in range(ROUNDS):
        generator = Generator(size, seed=6, chunk_size=PIECE)
        assert Counter(together(GENERATED[kind](generator))) == pieces
        assert generator.is_complete()


@pytest.mark.parametrize("size", [64, 65_536, 300_000])
def test_pieces_of_a_pool_are_given_once(size: int) -> None:
    """None twice, and none that is changed later; all of them from the pool's data set."""
    count = max(20, min(1000, (20 << 20) // size // THREADS))
    for pool in (BufferPool(seed=6), None):
        start = threading.Barrier(THREADS)

        def take(_: int) -> list[tuple[BytesView, bytes]]:
            start.wait()  # noqa: B023
            next_piece = pool.next_slice if pool else generate_buffer  # noqa: B023
            views = (next_piece(size) for _ in range(count))
            return [(view, bytes(view)) for view in views]

        with ThreadPoolExecutor(THREADS) as threads:
            found = [each for taken in threads.map(take, range(THREADS)) for each in taken]
        pieces = {piece for _, piece in found}
        assert len(pieces) == len(found) == THREADS * count
        assert all(bytes(view) == piece for view, piece in found)
        if pool:
            # Threads that come at once may each begin a block.
            blocks, each = -(-len(found) // ((1 << 20) // size)) + THREADS, 1 << 20
            data = bytearray(blocks * each)
            DataSpec(256 << 20, 6).fill(data)
            assert pieces <= {
                bytes(data[start : start + size])
                for block in range(0, len(data), each)
                for start in range(block, block + each - size + 1, size)
            }


def test_setting_seeds_does_not_lengthen_a_generator() -> None:
    """Its size is that of all seeds together, whichever thread sets one."""
    for _ in range(ROUNDS * 3):
        generator = Generator(300_003, seed=1)
        stop = threading.Event()

        def change() -> None:
            seed = 0
            while not stop.is_set():  # noqa: B023
                seed += 1
                generator.set_seed(seed)  # noqa: B023

        changing = threading.Thread(target=change)
        changing.start()
        pieces = together(GENERATED["fill_chunk"](generator), 4)
        stop.set()
        changing.join()
        assert sum(map(len, pieces)) == 300_003
        assert generator.is_complete()
