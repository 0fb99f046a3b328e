# SPDX-License-Identifier: MIT OR Apache-2.0
"""Buffers and streams of test data, under the names of dgen-py 0.3."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, SupportsIndex

from dgen_mpi import _native
from dgen_mpi._arguments import DEDUP_UNIT, RatioLike, SizeLike, count_of, kind_of, size_of
from dgen_mpi._native import BytesView

if TYPE_CHECKING:
    from dgen_mpi._arguments import BufferLike

CHUNK_SIZE = 32 << 20
"""The chunk of a generator, in bytes, unless something else is asked for."""

_POOL_BYTES = 1 << 20


def _generate_buffer(
    size: SizeLike,
    dedup_ratio: RatioLike = 1.0,
    compress_ratio: RatioLike = 1.0,
    numa_mode: str = "auto",
    max_threads: SupportsIndex | None = None,
    numa_node: SupportsIndex | None = None,
    method: str = "parallel",
    *,
    seed: SupportsIndex | None = None,
) -> BytesView:
    """Do what `generate_buffer` leaves to Python: whatever is more than a size and ratios."""
    count = size_of(size)
    kind = kind_of(dedup_ratio, compress_ratio, numa_mode, max_threads, numa_node)
    if seed is None and numa_node is None and 0 < count <= _POOL_BYTES:
        return _native.piece(count, kind)
    return _native.whole(count, seed, kind)


generate_buffer = _native.generate_buffer

generate_data = generate_buffer
"""Another name of `generate_buffer`."""


def _generate_into_buffer(
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
    """Do what `generate_into_buffer` leaves to Python: whatever is more than ratios."""
    kind = kind_of(dedup_ratio, compress_ratio, numa_mode, max_threads, numa_node)
    return _native.fill_whole(buffer, seed, kind)


generate_into_buffer = _native.generate_into_buffer

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


class Generator(_native.Stream):
    """The bytes of a data set in order, a buffer at a time: for more than memory holds.

    Constant memory, whatever the size. Threads may share a generator: each call gets bytes of its
    own, and all of them together every byte once. `seek`, `reset` and `set_seed` are for all of
    them. In a forked process one without a given seed goes on where it was, with another one. A
    value that is not legal raises ValueError.

    The second parameter is `dedup_ratio`, as in dgen-py, where that of `dgen_mpi.DataSpec` is the
    seed: give a seed by its name.

    Parameters
    ----------
    size
        Length of the data set in bytes, 0 to 2**63 - 1, or a text such as ``"1GiB"``.
    dedup_ratio, compress_ratio
        As in `dgen_mpi.DataSpec`, rounded to the nearest thousandth, where `DataSpec` refuses.
    numa_mode, max_threads, numa_node, seed, dedup_unit, compress_unit, fill
        As in `dgen_mpi.DataSpec`.
    chunk_size
        Bytes of a chunk where none is given, 1 at least: 32 MiB by default. Does not change the
        bytes.
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
        size: SizeLike,
        dedup_ratio: RatioLike = 1.0,
        compress_ratio: RatioLike = 1.0,
        numa_mode: str = "auto",
        max_threads: SupportsIndex | None = None,
        numa_node: SupportsIndex | None = None,
        chunk_size: SizeLike | None = None,
        block_size: SupportsIndex | None = None,
        seed: SupportsIndex | None = None,
        method: str = "parallel",
        *,
        dedup_unit: SizeLike = DEDUP_UNIT,
        compress_unit: SizeLike | None = None,
        fill: str = "backref",
    ) -> None:
        self._open(
            size,
            CHUNK_SIZE if chunk_size is None else chunk_size,
            seed,
            dedup_ratio,
            compress_ratio,
            numa_mode,
            max_threads,
            numa_node,
            dedup_unit,
            compress_unit,
            fill,
        )

    @property
    def seed(self) -> int:
        """The seed of the data set."""
        return self._seed()

    @property
    def chunk_size(self) -> int:
        """Bytes of a chunk where none is given."""
        return self._chunk_size()

    async def fill_chunk_async(self, buffer: BufferLike) -> int:
        """Fill a buffer with the next bytes in a thread of the event loop's executor.

        The bytes are chosen at the call, so calls that run at once get the bytes in the order in
        which they were awaited or scheduled. See `fill_chunk`.

        Nothing is written into the buffer once the call has ended, however it ended: where it is
        cancelled, or `asyncio.wait_for` has waited long enough, it ends as soon as the thread has
        stopped: after 32 MiB at most, and after the calls of other threads whose turn it is. The
        buffer then holds a part of its bytes, and the generator goes on behind them.
        """
        source, offset, count = self._reserve(buffer)
        return await _fill_in_thread(source, buffer, offset, count)

    async def get_chunk_async(self, chunk_size: SizeLike | None = None) -> BytesView | None:
        """Return the next bytes in new memory, made as in `fill_chunk_async`; None at the end."""
        view = self._allocate(chunk_size)
        count = await self.fill_chunk_async(view)
        return view.slice(0, count) if count else None

    def chunks(self) -> Iterator[BytesView]:
        """Return an iterator that gives chunk after chunk to the end; threads may share it.

        For what looks whether it is to wait for its data: this can be iterated in one way alone,
        where a generator is both.
        """
        return _Chunks(self)

    async def chunks_async(self) -> AsyncIterator[BytesView]:
        """Return an asynchronous iterator; other tasks run while a chunk is made. See `chunks`."""
        while (view := await self.get_chunk_async()) is not None:
            yield view

    def __iter__(self) -> Iterator[BytesView]:
        """Give chunk after chunk, to the end of the data set; threads may share an iterator."""
        return self.chunks()

    def __aiter__(self) -> AsyncIterator[BytesView]:
        """Give chunk after chunk; other tasks of the event loop run while one is made."""
        return self.chunks_async()

    def __repr__(self) -> str:
        """Tell size, seed and position."""
        return f"Generator(size={self.total_size()}, seed={self.seed}, position={self.position()})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made of, and where it is; without a given seed a copy draws one."""
        return (_generator_at, (type(self), *self._state()), vars(self) or None)


def _generator_at(
    cls: type[Generator],
    size: int,
    chunk_size: int,
    seed: int | None,
    kind: tuple[Any, ...],
    before: int,
    offset: int,
) -> Generator:
    """Return a generator at a place."""
    generator = cls.__new__(cls)
    generator._go_on(size, chunk_size, seed, _native.kind(*kind), before, offset)
    return generator


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


class BufferPool(_native.Pool):
    """Small pieces of test data, cut from blocks that are made at once.

    Ratios and seed are as in `Generator`; the pool goes through data sets of 256 MiB, and it is
    over each of them that blocks repeat. No byte is given out twice, also where threads share a
    pool. In a forked process a pool without a given seed goes on with another one.
    """

    def __init__(
        self,
        dedup_ratio: RatioLike = 1.0,
        compress_ratio: RatioLike = 1.0,
        *,
        seed: SupportsIndex | None = None,
    ) -> None:
        self._open(seed, kind_of(dedup_ratio, compress_ratio))

    def reconfigure(self, dedup_ratio: RatioLike = 1.0, compress_ratio: RatioLike = 1.0) -> None:
        """Go on with data of other ratios; the same, and any that are refused, change nothing."""
        self._change(kind_of(dedup_ratio, compress_ratio))

    @property
    def remaining(self) -> int:
        """Bytes that are left of the block: 0 to 1 MiB."""
        return self._remaining()

    @property
    def dedup_ratio(self) -> float:
        """Logical blocks per distinct block."""
        return self._ratios()[0] / 1000

    @property
    def compress_ratio(self) -> float:
        """Bytes per compressed byte."""
        return self._ratios()[1] / 1000


def create_bytearrays(count: SupportsIndex, size: SizeLike) -> list[bytearray]:
    """Return `count` new bytearrays of `size` bytes, whose contents are whatever they are.

    For filling: memory is only reserved, in milliseconds for gigabytes. Raises ValueError for a
    negative number, OverflowError for one that is too large, and MemoryError where there is no
    memory for them.
    """
    arrays, length = count_of(count, "count"), size_of(size)
    try:
        return _native.create_bytearrays(arrays, length)
    except MemoryError:
        # Python's own has no words.
        raise MemoryError(f"there is no memory for {arrays} times {length} bytes") from None


def bench_rolling_pool(obj_size: SizeLike, total_bytes: SizeLike) -> tuple[int, float]:
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
