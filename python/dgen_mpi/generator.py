# SPDX-License-Identifier: MIT OR Apache-2.0
"""Buffers and streams of test data, under the names of dgen-py 0.3."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, SupportsIndex

from dgen_mpi import _native
from dgen_mpi._arguments import (
    DEDUP_UNIT,
    RatioLike,
    ratios_of,
    seed_of,
    shape_of,
    size_of,
    threads_of,
)
from dgen_mpi._native import BytesView
from dgen_mpi._sharing import Lock

if TYPE_CHECKING:
    from dgen_mpi._arguments import BufferLike

CHUNK_SIZE = 32 << 20
"""The chunk of a generator, in bytes, unless something else is asked for."""

_NO_COMPOSITION: dict[str, list[str]] = {}

_POOL_BYTES = 1 << 20
# A pool's data set: after so much it goes on with another seed.
_POOL_DATA_BYTES = 256 << 20


def generate_buffer(
    size: SupportsIndex,
    dedup_ratio: RatioLike = 1.0,
    compress_ratio: RatioLike = 1.0,
    numa_mode: str = "auto",
    max_threads: SupportsIndex | None = None,
    numa_node: SupportsIndex | None = None,
    method: str = "parallel",
    *,
    seed: SupportsIndex | None = None,
) -> BytesView:
    """Return new memory that holds a data set of `size` bytes.

    It is for ``memoryview(...)`` or ``numpy.frombuffer(...)``, which copy nothing. Parameters and
    errors are those of `Generator`; MemoryError is raised where there is no memory.

    Blocks have 1 MiB: smaller buffers have nothing to deduplicate. Without a seed, up to 1 MiB is a
    slice of a block that was made before, one for each thread. Memory of 1 MiB and more that is no
    longer used is kept for the next call, up to 128 MiB.
    """
    count = size_of(size)
    if seed is None and numa_node is None and 0 < count <= _POOL_BYTES:
        # Not used here, and refused all the same.
        threads_of(max_threads, numa_mode)
        return _pools.of(*ratios_of(dedup_ratio, compress_ratio)).next_slice(count)
    whole = Generator(
        count, dedup_ratio, compress_ratio, numa_mode, max_threads, numa_node, seed=seed
    )
    return whole.get_chunk(count) or _native.allocate(0)


generate_data = generate_buffer
"""Another name of `generate_buffer`."""


def generate_into_buffer(
    buffer: BufferLike,
    dedup_ratio: RatioLike = 1.0,
    compress_ratio: RatioLike = 1.0,
    numa_mode: str = "auto",
    max_threads: SupportsIndex | None = None,
    numa_node: SupportsIndex | None = None,
    method: str = "parallel",
    *,
    seed: SupportsIndex | None = None,
) -> int:
    """Fill a buffer with a data set of its length, and return that length.

    Buffers, and what is raised, are as in `dgen_mpi.DataSpec.fill`, all else as in `Generator`.
    """
    count = _native.length(buffer)
    return Generator(
        count, dedup_ratio, compress_ratio, numa_mode, max_threads, numa_node, seed=seed
    ).fill_chunk(buffer)


fill_buffer = generate_into_buffer
"""Another name of `generate_into_buffer`."""


async def _fill_in_thread(
    source: _native.Source, buffer: BufferLike, offset: int, count: int
) -> int:
    """Fill a buffer with a range of a source in another thread, and return how many bytes it got.

    That thread holds a lock while it may write, and does not begin once it was told to stop.
    """
    is_stopped, is_writing = bytearray(1), False
    # Where that thread collects garbage, a coroutine that waits for it may be among it.
    lock = threading.RLock()

    def fill() -> int:
        nonlocal is_writing
        with lock:
            is_writing = True
            try:
                return source.fill_until(buffer, offset, count, is_stopped)
            finally:
                is_writing = False

    future = asyncio.get_running_loop().run_in_executor(None, fill)
    # Nobody else may ask what became of it.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        # If it were cancelled itself, it would not tell any more when the thread is done.
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        is_stopped[0] = 1
        while is_writing and not future.done():
            # Cancelled again: that is under way already.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        future.cancel()
        raise
    finally:
        # A coroutine that is closed, and not cancelled, cannot await anything.
        is_stopped[0] = 1
        with lock:
            pass


class Generator:
    """The bytes of a data set in order, a buffer at a time: for more than memory holds.

    Constant memory, whatever the size. Threads may share a generator: each call gets bytes of its
    own, and all of them together every byte once. `seek`, `reset` and `set_seed` are for all of
    them. A value that is not legal raises ValueError.

    Parameters
    ----------
    size
        Length of the data set in bytes, 0 to 2**63 - 1.
    dedup_ratio, compress_ratio
        As in `dgen_mpi.DataSpec`, rounded to the nearest thousandth.
    numa_mode, max_threads, numa_node, seed, dedup_unit, compress_unit, fill
        As in `dgen_mpi.DataSpec`.
    chunk_size
        Bytes of a chunk where none is given: 32 MiB by default. Does not change the bytes.
    block_size, method
        Accepted for programs that were written for dgen-py, and not used.

    Examples
    --------
    >>> gen = Generator(size=100_000, seed=42)
    >>> buffer = bytearray(65_536)
    >>> while (count := gen.fill_chunk(buffer)) > 0:
    ...     print(count)
    65536
    34464
    """

    def __init__(
        self,
        size: SupportsIndex,
        dedup_ratio: RatioLike = 1.0,
        compress_ratio: RatioLike = 1.0,
        numa_mode: str = "auto",
        max_threads: SupportsIndex | None = None,
        numa_node: SupportsIndex | None = None,
        chunk_size: SupportsIndex | None = None,
        block_size: SupportsIndex | None = None,
        seed: SupportsIndex | None = None,
        method: str = "parallel",
        *,
        dedup_unit: SupportsIndex = DEDUP_UNIT,
        compress_unit: SupportsIndex | None = None,
        fill: str = "backref",
    ) -> None:
        self._size = size_of(size)
        self._chunk_size = CHUNK_SIZE if chunk_size is None else size_of(chunk_size, "chunk_size")
        self._kind = (
            *ratios_of(dedup_ratio, compress_ratio),
            *shape_of(dedup_unit, compress_unit, fill),
            _NO_COMPOSITION,
            *threads_of(max_threads, numa_mode, numa_node),
        )
        self._seed = seed_of(seed)
        # Where the next bytes come from, and how many were made before its seed was set: in one, so
        # that threads see what belongs together.
        self._place = (_native.source(self._size, self._seed, *self._kind), 0)
        # Held by whoever goes elsewhere.
        self._moving = Lock()

    def fill_chunk(self, buffer: BufferLike, /) -> int:
        """Fill a buffer, one as `dgen_mpi.DataSpec.fill` takes, with the next bytes.

        Returns how many: fewer than the buffer has at the end of the data set, then 0. The rest of
        the buffer stays as it is.
        """
        while True:
            source, _ = self._place
            count = source.fill_next(buffer)
            if count > 0 or source is self._present():
                return count

    def _present(self) -> _native.Source:
        """Return the source that gives the next bytes, once nobody is going elsewhere."""
        with self._moving:
            return self._place[0]

    def _allocate(self, chunk_size: SupportsIndex | None) -> BytesView:
        """Return memory for the next chunk, as far as there are bytes for it."""
        wanted = self._chunk_size if chunk_size is None else size_of(chunk_size, "chunk_size")
        return self._present().allocate(min(wanted, self._size - self.position()))

    def get_chunk(self, chunk_size: SupportsIndex | None = None) -> BytesView | None:
        """Return the next chunk, or `chunk_size` bytes at most, in new memory; None at the end."""
        view = self._allocate(chunk_size)
        # A range of the stream for this call alone, whoever else shares the generator.
        count = self.fill_chunk(view)
        return view.slice(0, count) if count else None

    def reset(self) -> None:
        """Go back to the start of the data set; the seed stays."""
        self.seek(0)

    def position(self) -> int:
        """Return how many bytes were made."""
        source, before = self._place
        return before + source.tell()

    def seek(self, offset: SupportsIndex) -> None:
        """Go on at an offset of the data set, at most its size: in some microseconds."""
        start = size_of(offset, "offset")
        with self._moving:
            source, _ = self._place
            # What is refused changes nothing.
            if start <= self._size:
                self._place = (source, 0)
            source.seek(start, self._size)

    def total_size(self) -> int:
        """Return the length of the data set in bytes."""
        return self._size

    def is_complete(self) -> bool:
        """Tell whether all bytes were made."""
        return self.position() >= self._size

    def set_seed(self, seed: SupportsIndex | None) -> None:
        """Go on with the first bytes of the data set of a seed, drawn at random for None.

        `position` and `is_complete` count all bytes that were made: a loop over the generator ends
        however often the seed is set, also to the present one. `reset` goes to the start of the
        data set of the seed.
        """
        new_seed = seed_of(seed)
        new = _native.source(self._size, new_seed, *self._kind)
        with self._moving:
            # Nobody gets bytes of the other seed any more that would not be counted.
            source, before = self._place
            position = before + source.stop()
            new.seek(0, self._size - position)
            self._seed = new_seed
            self._place = (new, position)

    @property
    def seed(self) -> int:
        """The seed of the data set."""
        return self._seed

    @property
    def chunk_size(self) -> int:
        """Bytes of a chunk where none is given."""
        return self._chunk_size

    async def fill_chunk_async(self, buffer: BufferLike) -> int:
        """Fill a buffer with the next bytes in a thread of the event loop's executor.

        The bytes are chosen at the call, so calls that run at once get the bytes in the order in
        which they were awaited or scheduled. See `fill_chunk`.

        Nothing is written into the buffer once the call has ended, however it ended: where it is
        cancelled, or `asyncio.wait_for` has waited long enough, it ends as soon as the thread has
        stopped: after 32 MiB at most, and after the calls of other threads whose turn it is. The
        buffer then holds a part of its bytes, and the generator goes on behind them.
        """
        while True:
            source, _ = self._place
            offset, count = source.reserve(buffer)
            if count > 0 or source is self._present():
                return await _fill_in_thread(source, buffer, offset, count)

    async def get_chunk_async(self, chunk_size: SupportsIndex | None = None) -> BytesView | None:
        """Return the next bytes in new memory, made as in `fill_chunk_async`; None at the end."""
        view = self._allocate(chunk_size)
        count = await self.fill_chunk_async(view)
        return view.slice(0, count) if count else None

    def __iter__(self) -> Iterator[BytesView]:
        """Give chunk after chunk, to the end of the data set; threads may share an iterator."""
        return _Chunks(self)

    async def __aiter__(self) -> AsyncIterator[BytesView]:
        """Give chunk after chunk; other tasks of the event loop run while one is made."""
        while (view := await self.get_chunk_async()) is not None:
            yield view

    def __repr__(self) -> str:
        """Tell size, seed and position."""
        return f"Generator(size={self._size}, seed={self._seed}, position={self.position()})"


class _Chunks(Iterator[BytesView]):
    """The chunks of a generator, one for each call of any thread."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    def __next__(self) -> BytesView:
        view = self._generator.get_chunk()
        if view is None:
            raise StopIteration
        return view


StreamingGenerator = Generator


class BufferPool:
    """Small pieces of test data, cut from blocks that are made at once.

    Ratios and seed are as in `Generator`; the pool goes through data sets of 256 MiB, and it is
    over each of them that blocks repeat. No byte is given out twice. For one thread: give each a
    pool of its own. In a forked process a pool without a given seed goes on with another one.
    """

    def __init__(
        self,
        dedup_ratio: RatioLike = 1.0,
        compress_ratio: RatioLike = 1.0,
        *,
        seed: SupportsIndex | None = None,
    ) -> None:
        self._is_seeded = seed is not None
        self._next_seed = seed_of(seed)
        self._ratios = (-1, -1)
        self.reconfigure(dedup_ratio, compress_ratio)

    def reconfigure(self, dedup_ratio: RatioLike = 1.0, compress_ratio: RatioLike = 1.0) -> None:
        """Go on with data of other ratios; the same, and any that are refused, change nothing."""
        ratios = ratios_of(dedup_ratio, compress_ratio)
        if ratios != self._ratios:
            self._open(ratios)

    def _open(self, ratios: tuple[int, int]) -> None:
        self._source = self._data(_POOL_DATA_BYTES, ratios, threads_of(1, "disabled"))
        self._ratios = ratios
        self._process = os.getpid()
        self._block = _native.allocate(0)
        self._used = 0

    def _refill(self) -> None:
        if self._source.tell() >= _POOL_DATA_BYTES:
            self._open(self._ratios)
        self._block = _native.allocate(_POOL_BYTES)
        self._source.fill_next(self._block)
        self._used = 0

    def next_slice(self, size: SupportsIndex) -> BytesView:
        """Return the next `size` bytes of the pool, 1 at least; more than 1 MiB are made at once.

        Copies nothing: views share the memory of a block. What is left of a block that is too short
        for `size` is not used.
        """
        count = size_of(size, least=1)
        if self._process != os.getpid() and not self._is_seeded:
            self._next_seed = seed_of(None)
            self._open(self._ratios)
        if count > _POOL_BYTES:
            source = self._data(count, self._ratios, threads_of(None))
            view = source.allocate(count)
            source.fill_next(view)
            return view
        if count > len(self._block) - self._used:
            self._refill()
        start = self._used
        self._used += count
        return self._block.slice(start, self._used)

    def _data(
        self, size: int, ratios: tuple[int, int], threads: tuple[int, str, int]
    ) -> _native.Source:
        """Open the next data set of the pool."""
        kind = (*ratios, *shape_of(), _NO_COMPOSITION, *threads)
        source = _native.source(size, self._next_seed, *kind)
        self._next_seed = (self._next_seed + 1) % (1 << 64) if self._is_seeded else seed_of(None)
        return source

    @property
    def remaining(self) -> int:
        """Bytes that are left of the block: 0 to 1 MiB."""
        if len(self._block) == 0:
            self._refill()
        return len(self._block) - self._used

    @property
    def dedup_ratio(self) -> float:
        """Logical blocks per distinct block."""
        return self._ratios[0] / 1000

    @property
    def compress_ratio(self) -> float:
        """Bytes per compressed byte."""
        return self._ratios[1] / 1000


class _ThreadPools(threading.local):
    """The pools of a thread, for the last few kinds of data."""

    def __init__(self) -> None:
        self.of = functools.lru_cache(maxsize=8)(_new_pool)


def _new_pool(dedup_thousandths: int, compress_thousandths: int) -> BufferPool:
    return BufferPool(Fraction(dedup_thousandths, 1000), Fraction(compress_thousandths, 1000))


_pools = _ThreadPools()


def create_bytearrays(count: SupportsIndex, size: SupportsIndex) -> list[bytearray]:
    """Return `count` new bytearrays of `size` bytes, whose contents are whatever they are.

    For filling: memory is only reserved, in milliseconds for gigabytes. Raises ValueError for a
    negative number, OverflowError for one that is too large, and MemoryError where there is no
    memory for them.
    """
    return _native.create_bytearrays(size_of(count, "count"), size_of(size))


def bench_rolling_pool(obj_size: SupportsIndex, total_bytes: SupportsIndex) -> tuple[int, float]:
    """Measure how fast a pool gives out `total_bytes` in pieces of `obj_size` bytes, 1 at least.

    Returns the bytes given out, a multiple of `obj_size`, and seconds.
    """
    size = size_of(obj_size, "obj_size", least=1)
    total = size_of(total_bytes, "total_bytes")
    count = max(total // size, 1)
    pool = BufferPool()
    start = time.perf_counter()
    for _ in range(count):
        pool.next_slice(size)
    return count * size, time.perf_counter() - start
