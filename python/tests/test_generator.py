# SPDX-License-Identifier: MIT OR Apache-2.0
"""Generators, pools and one-call functions, under the names of dgen-py."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import copy
import hashlib
import io
import os
import pickle
import shutil
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import stream

import dgen_mpi
from dgen_mpi import BufferPool, BytesView, DataReader, DataSpec, Generator, _native

MIB = 1 << 20


def drained(generator: Generator, chunk: int) -> str:
    """Return the SHA-256 of all that a generator gives in chunks of one size."""
    digest = hashlib.sha256()
    buffer = bytearray(chunk)
    while (count := generator.fill_chunk(buffer)) > 0:
        digest.update(memoryview(buffer)[:count])
    return digest.hexdigest()


@pytest.mark.parametrize("kind", [{}, {"dedup_ratio": 2, "compress_ratio": 1.5}])
def test_same_stream_for_every_chunk_size_and_thread_count(kind: dict[str, Any]) -> None:
    """What comes out does not depend on how it is asked for."""
    size = 40 * MIB + 12_345
    expected = drained(Generator(size, seed=5, max_threads=1, **kind), size)
    for chunk in (65_536, 3 * MIB // 2, 32 * MIB):
        for threads in (1, 2, 3):
            assert drained(Generator(size, seed=5, max_threads=threads, **kind), chunk) == expected
    assert drained(Generator(size, seed=5, **kind), 4096) == expected
    small = 100_003
    expected = drained(Generator(small, seed=5, **kind), small)
    for chunk in (1, 100, 1000):
        assert drained(Generator(small, seed=5, **kind), chunk) == expected


def test_a_generator_counts() -> None:
    """Lengths at the end, position, completeness; what is left of a buffer stays as it is."""
    generator = Generator(size=100, seed=1)
    buffer = bytearray(b"x" * 64)
    assert (generator.position(), generator.total_size()) == (0, 100)
    assert generator.chunk_size == 32 * MIB
    assert generator.fill_chunk(buffer) == 64
    assert not generator.is_complete()
    buffer[:] = b"x" * 64
    assert generator.fill_chunk(buffer) == 36
    assert bytes(buffer[36:]) == b"x" * 28
    assert generator.is_complete()
    assert generator.fill_chunk(buffer) == 0
    assert generator.get_chunk(10) is None
    generator.reset()
    assert generator.position() == 0
    first = generator.get_chunk(64)
    assert first is not None
    assert bytes(first) == stream(1, 8)
    rest = generator.get_chunk(1 << 50)
    assert rest is not None
    assert bytes(first) + bytes(rest) == stream(1, 13)[:100]
    assert Generator(0).is_complete()
    assert "seed=1" in repr(generator)
    with pytest.raises(AttributeError):
        generator.chunk_size = 3  # type: ignore[misc]


def test_setting_a_seed_starts_its_stream() -> None:
    """In the midst of a block too; a loop over the generator ends all the same."""
    generator = Generator(size=1000, seed=1)
    buffer = bytearray(100)
    pieces = []
    while not generator.is_complete():
        generator.set_seed(2)
        generator.fill_chunk(buffer)
        pieces.append(bytes(buffer))
    assert pieces == [stream(2, 13)[:100]] * 10
    assert generator.position() == 1000
    assert generator.get_chunk(1) is None
    generator.reset()
    assert generator.position() == 0
    assert bytes(generator.get_chunk(1000) or b"") == stream(2, 125)
    generator.set_seed(None)
    assert generator.seed != 2
    with pytest.raises(ValueError, match="seed"):
        generator.set_seed(-1)


def test_a_generator_goes_anywhere() -> None:
    """As a data set does."""
    generator = Generator(size=1 << 60, seed=3, compress_ratio=2)
    generator.seek((1 << 59) + 77)
    found = bytes(generator.get_chunk(1000) or b"")
    expected = bytearray(1000)
    DataSpec(1 << 60, 3, compress_ratio=2).fill(expected, (1 << 59) + 77)
    assert found == expected
    with pytest.raises(ValueError, match="offset"):
        generator.seek((1 << 60) + 1)


def test_chunks_are_iterated() -> None:
    """With `for`, to the end."""
    chunks = list(Generator(size=1000, seed=1, chunk_size=300))
    assert [len(chunk) for chunk in chunks] == [300, 300, 300, 100]
    assert b"".join(map(bytes, chunks)) == stream(1, 125)


def test_a_chunk_has_a_byte_at_least() -> None:
    """None would be the end of every loop."""
    for size in (0, "0"):
        with pytest.raises(ValueError, match="chunk_size: '0' is not accepted; give 1 or more"):
            Generator(10, chunk_size=size)
        with pytest.raises(ValueError, match="chunk_size: '0' is not accepted; give 1 or more"):
            Generator(10).get_chunk(size)


def test_one_way_of_iterating_is_given_alone() -> None:
    """For what looks whether it is to wait for its data, as clients of HTTP do."""
    generator = Generator(size=1000, seed=1, chunk_size=300)
    both = (collections.abc.Iterable, collections.abc.AsyncIterable)
    assert [isinstance(generator, kind) for kind in both] == [True, True]
    assert [isinstance(generator.chunks(), kind) for kind in both] == [True, False]
    assert [isinstance(generator.chunks_async(), kind) for kind in both] == [False, True]
    assert b"".join(map(bytes, generator.chunks())) == stream(1, 125)

    async def main() -> None:
        generator.reset()
        found = [bytes(chunk) async for chunk in generator.chunks_async()]
        assert b"".join(found) == stream(1, 125)

    asyncio.run(main())


def test_arguments_have_their_names() -> None:
    """As dgen-py takes them."""
    generator, pool = Generator(1000, seed=1), BufferPool(seed=1)
    buffer = bytearray(100)
    assert generator.fill_chunk(buffer=buffer) == 100
    assert len(generator.get_chunk(chunk_size=7) or b"") == 7
    generator.seek(offset=0)
    generator.set_seed(seed=1)
    assert len(pool.next_slice(size=10)) == 10
    assert dgen_mpi.generate_into_buffer(buffer=buffer, compress_ratio=2.0) == 100
    assert len(dgen_mpi.generate_buffer(size=50)) == 50
    for call in (
        lambda: generator.fill_chunk(),
        lambda: generator.fill_chunk(memory=buffer),
        lambda: generator.fill_chunk(buffer, buffer),
        lambda: generator.fill_chunk(buffer, buffer=buffer),
        lambda: generator.position(1),
        lambda: pool.next_slice(),
        lambda: dgen_mpi.generate_buffer(),
        lambda: dgen_mpi.generate_buffer(10, sizes=1),
        lambda: dgen_mpi.generate_buffer(10, 1.0, dedup_ratio=1.0),
        lambda: dgen_mpi.generate_into_buffer(compress_ratio=1.0),
    ):
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize("ratio", [1, 1.0, 2, 1.333, 4 / 3, 1.0005, np.float64(2.5), "1.5"])
def test_small_calls_are_large_calls(ratio: Any) -> None:
    """What is taken from a block that was made before has the ratios, and refuses, alike."""
    for arguments in ((ratio, ratio), (1, ratio), (ratio,)):
        for size in (1, 64, 4096, 50_000):
            assert len(dgen_mpi.generate_buffer(size, *arguments)) == size
            assert dgen_mpi.generate_into_buffer(bytearray(size), *arguments) == size
    packed = len(zlib.compress(dgen_mpi.generate_buffer(500_000, 1, ratio), 1))
    assert packed == pytest.approx(500_000 / float(ratio), rel=0.03)


@pytest.mark.parametrize("ratios", [(1, 1), (2, 1), (1, 1.5), (1.5, 2)])
@pytest.mark.parametrize("size", [0, 1, 7, 64, 4099, 8192, 8193, 70_001, MIB, 3 * MIB + 5])
def test_a_seed_makes_the_same_bytes_by_all_ways(size: int, ratios: tuple[float, float]) -> None:
    """However few they are."""
    expected = bytearray(size)
    DataSpec(size, 5, *ratios).fill(expected)
    assert bytes(dgen_mpi.generate_buffer(size, *ratios, seed=5)) == expected
    assert bytes(dgen_mpi.generate_buffer(size, *ratios, "auto", None, None, seed=5)) == expected
    for more in ((), ("off", 1)):
        buffer = bytearray(size)
        assert dgen_mpi.generate_into_buffer(buffer, *ratios, *more, seed=np.uint64(5)) == size
        assert buffer == expected
    for seed in (-1, 1 << 64):
        with pytest.raises(ValueError, match=r"seed: '.*' is not accepted"):
            dgen_mpi.generate_buffer(10, seed=seed)


def test_small_buffers_of_all_ways_are_different() -> None:
    """No byte twice, and none that is left as it was."""
    pieces = [bytes(dgen_mpi.generate_buffer(64)) for _ in range(20_000)]
    for buffer in (bytearray(64), np.zeros(8), memoryview(bytearray(64)), bytearray(20_000)):
        for _ in range(500):
            dgen_mpi.generate_into_buffer(buffer)
            pieces.append(bytes(memoryview(buffer).cast("B")[:64]))
    assert len(set(pieces)) == len(pieces)


def test_a_generator_can_be_pickled() -> None:
    """The copy goes on from the same place, with all that was asked for."""
    generator = Generator("1MiB", 2, 1.5, "force", 3, None, 1000, seed=7, fill="zeros")
    generator.fill_chunk(bytearray(500))
    generator.set_seed(8)
    generator.fill_chunk(bytearray(300))
    for other in (copy.copy(generator), pickle.loads(pickle.dumps(generator))):
        assert (other.seed, other.position(), other.chunk_size) == (8, 800, 1000)
        assert other._state() == generator._state()
        assert bytes(other.get_chunk() or b"") == bytes(copy.copy(generator).get_chunk() or b"")
    drawn = Generator(1000)
    assert bytes(copy.copy(drawn).get_chunk() or b"") != bytes(drawn.get_chunk() or b"")


def test_fractional_ratios_are_not_truncated() -> None:
    """Two thirds of the blocks are distinct; computed ratios are rounded to a thousandth."""
    view = dgen_mpi.generate_buffer(48 * MIB, dedup_ratio=1.5, seed=1)
    blocks = {bytes(view.slice(i * MIB, (i + 1) * MIB)) for i in range(48)}
    assert len(blocks) == 32
    assert bytes(dgen_mpi.generate_buffer(9000, compress_ratio=4 / 3, seed=1)) == bytes(
        dgen_mpi.generate_buffer(9000, compress_ratio=1.333, seed=1)
    )


def test_one_call_fills_or_returns_a_data_set() -> None:
    """The same bytes by each name."""
    expected = bytearray(3 * MIB)
    DataSpec(3 * MIB, 4, 1.5, 2).fill(expected)
    views = [
        dgen_mpi.generate_buffer(3 * MIB, 1.5, 2, "auto", 2, seed=4),
        dgen_mpi.generate_data(3 * MIB, dedup_ratio=1.5, compress_ratio=2, seed=4),
    ]
    assert all(bytes(view) == expected for view in views)
    for function in (dgen_mpi.generate_into_buffer, dgen_mpi.fill_buffer):
        buffer = np.zeros(3 * MIB // 8)
        assert function(buffer, 1.5, 2, "DISABLED", seed=4) == 3 * MIB
        assert buffer.tobytes() == expected
    assert bytes(dgen_mpi.generate_buffer(0)) == b""
    assert dgen_mpi.generate_into_buffer(bytearray()) == 0
    assert bytes(dgen_mpi.generate_buffer(500)) != bytes(dgen_mpi.generate_buffer(500))


@pytest.mark.parametrize("size", [1, 64, 4096, MIB, MIB + 1, 5 * MIB])
def test_a_view_shares_its_memory(size: int) -> None:
    """Nothing is copied on the way to numpy."""
    view = dgen_mpi.generate_data(size)
    assert isinstance(view, BytesView)
    assert len(view) == size
    memory = memoryview(view)
    assert (memory.format, memory.itemsize, memory.shape) == ("B", 1, (size,))
    found = np.frombuffer(view, dtype=np.uint8)
    other = np.frombuffer(memory, dtype=np.uint8)
    assert found.ctypes.data == other.ctypes.data
    found[0] ^= 1
    assert other[0] == found[0]
    before = bytes(view)
    del view, memory
    assert found.tobytes() == before


def test_views_are_not_made_or_changed() -> None:
    """Only functions of the package make them."""
    with pytest.raises(TypeError):
        BytesView()
    view = dgen_mpi.generate_buffer(100)
    for start, stop in [(-1, 3), (5, 3), (0, 101)]:
        with pytest.raises(ValueError, match="st"):
            view.slice(start, stop)
    assert bytes(view.slice(10, 20).slice(2, 5)) == bytes(view)[12:15]
    with pytest.raises(TypeError):
        view[0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("size", "error"), [(-1, ValueError), (1 << 63, OverflowError), (1.5, TypeError)]
)
def test_wrong_sizes_raise(size: Any, error: type[Exception]) -> None:
    """Exceptions that can be caught, and no more."""
    for function in (dgen_mpi.generate_buffer, Generator, BufferPool().next_slice):
        with pytest.raises(error):
            function(size)


def test_too_much_memory_raises() -> None:
    """The process goes on."""
    with pytest.raises(MemoryError, match="no memory for"):
        dgen_mpi.generate_buffer(1 << 60)
    with pytest.raises(MemoryError, match="no memory for"):
        dgen_mpi.create_bytearrays(1, 1 << 60)


def test_a_pool_gives_every_byte_once() -> None:
    """Views of one block, then of the next; ratios as they were asked for."""
    pool = BufferPool(seed=1)
    assert pool.remaining == MIB
    pieces = [pool.next_slice(65_536) for _ in range(40)]
    assert len({bytes(piece) for piece in pieces}) == 40
    assert b"".join(map(bytes, pieces[:16])) == stream(1, MIB // 8)
    assert pool.remaining == MIB // 2
    assert len(pool.next_slice(MIB)) == MIB
    assert pool.remaining == 0
    assert len(pool.next_slice(2 * MIB)) == 2 * MIB
    held = pool.next_slice(100)
    before = bytes(held)
    left = pool.remaining
    pool.reconfigure()
    assert pool.remaining == left
    pool.reconfigure(compress_ratio=2.5)
    assert (pool.dedup_ratio, pool.compress_ratio, pool.remaining) == (1, 2.5, MIB)
    assert bytes(held) == before
    for size in (0, -1):
        with pytest.raises(ValueError, match="size"):
            pool.next_slice(size)
    assert bytes(BufferPool().next_slice(64)) != bytes(BufferPool().next_slice(64))


def test_a_pool_goes_on_after_ratios_that_are_refused() -> None:
    """As if nobody had asked."""
    pool, other = BufferPool(seed=8, compress_ratio=2), BufferPool(seed=8, compress_ratio=2)
    for _ in range(2):
        with pytest.raises(ValueError, match="compress_ratio"):
            pool.reconfigure(compress_ratio=1000)
        assert (pool.dedup_ratio, pool.compress_ratio) == (1, 2)
    for each in (pool, other):
        each.reconfigure(compress_ratio=3)
    assert bytes(pool.next_slice(MIB)) == bytes(other.next_slice(MIB))


def test_a_pool_never_runs_dry() -> None:
    """After its data set comes another one."""
    pool = BufferPool(seed=8)
    blocks = {hashlib.sha256(pool.next_slice(MIB)).digest() for _ in range(260)}
    assert len(blocks) == 260


def test_objects_that_were_not_begun_raise() -> None:
    """Where a derived class forgets to."""

    class Forgetful(Generator):
        def __init__(self) -> None:
            pass

    class Empty(BufferPool):
        def __init__(self) -> None:
            pass

    generator, pool = Forgetful(), Empty()
    for call in (
        lambda: generator.fill_chunk(bytearray(5)),
        generator.get_chunk,
        lambda: pool.next_slice(5),
        lambda: pool.remaining,
        lambda: pool.dedup_ratio,
        pool.reconfigure,
    ):
        with pytest.raises(TypeError, match="__init__ was not called"):
            call()
    assert generator.position() == generator.total_size() == 0

    class Named(Generator):
        """Has more than its base."""

        name = "x"

    named = Named(100, seed=1)
    named.name = "y"
    other = copy.copy(named)
    assert (type(other), other.name, bytes(other.get_chunk() or b"")) == (
        Named,
        "y",
        stream(1, 13)[:100],
    )


def test_bytearrays_are_made() -> None:
    """Objects of their own, of any contents."""
    arrays = dgen_mpi.create_bytearrays(count=3, size=1000)
    assert [len(found) for found in arrays] == [1000] * 3
    assert len({id(found) for found in arrays}) == 3
    assert all(type(found) is bytearray for found in arrays)
    assert dgen_mpi.create_bytearrays(0, 10) == []
    for count, size in [(-1, 1), (1, -1)]:
        with pytest.raises(ValueError, match="is not accepted"):
            dgen_mpi.create_bytearrays(count, size)


@pytest.mark.parametrize("zero", [0, False, 0.0])
def test_ratios_of_zero_are_refused(zero: float) -> None:
    """By the pool of a thread too, whatever it compares them with."""
    for _ in range(2):
        with pytest.raises(ValueError, match="ratio"):
            dgen_mpi.generate_buffer(1, zero, zero)


def test_the_pool_is_measured() -> None:
    """Whole pieces, one at least."""
    assert dgen_mpi.bench_rolling_pool(1000, 10_500)[0] == 10_000
    done, seconds = dgen_mpi.bench_rolling_pool(1000, 0)
    assert done == 1000
    assert seconds > 0
    with pytest.raises(ValueError, match="obj_size"):
        dgen_mpi.bench_rolling_pool(0, 1)


def test_asynchronous_calls_leave_the_loop_free() -> None:
    """Other tasks run meanwhile; calls at once get consecutive bytes."""

    async def main() -> None:
        generator = Generator(size=512 * MIB, seed=1, max_threads=1)
        call = asyncio.create_task(generator.fill_chunk_async(bytearray(256 * MIB)))
        # It begins, and this task goes on before it has ended.
        for _ in range(3):
            await asyncio.sleep(0)
        assert not call.done()
        assert await call == 256 * MIB
        generator.reset()
        buffers = [bytearray(size) for size in (1000, 1, 5 * MIB, 0, 77)]
        counts = await asyncio.gather(*map(generator.fill_chunk_async, buffers))
        assert counts == [1000, 1, 5 * MIB, 0, 77]
        expected = bytearray(sum(counts))
        DataSpec(512 * MIB, 1).fill(expected)
        assert b"".join(buffers) == expected
        small = Generator(size=1000, seed=1, chunk_size=300)
        chunks = [bytes(chunk) async for chunk in small]
        assert b"".join(chunks) == stream(1, 125)
        assert await small.get_chunk_async() is None
        with pytest.raises(BufferError):
            await small.fill_chunk_async(b"read-only")

    asyncio.run(main())


def test_a_reader_is_a_file() -> None:
    """Reading, seeking, buffering, copying."""
    spec = DataSpec(10_000, 1)
    expected = stream(1, 1250)
    with DataReader(spec) as reader:
        assert reader.readable()
        assert reader.seekable()
        assert not reader.writable()
        assert reader.read(10) == expected[:10]
        assert reader.tell() == 10
        assert reader.seek(-5, os.SEEK_CUR) == 5
        assert reader.read(5) == expected[5:10]
        assert reader.seek(-3, os.SEEK_END) == 9997
        assert reader.read(100) == expected[-3:]
        assert reader.read(100) == b""
        assert reader.seek(1 << 40) == 1 << 40
        assert reader.read() == b""
        for offset, whence in [(-1, os.SEEK_SET), (0, 9)]:
            with pytest.raises(ValueError, match="is not accepted"):
                reader.seek(offset, whence)
        assert reader.seek("1KiB") == 1024
        for place, error in [(1.5, TypeError), (None, TypeError), (1 << 63, OverflowError)]:
            with pytest.raises(error, match=r"offset: '.*' is not accepted"):
                reader.seek(place)  # type: ignore[arg-type]
        assert reader.tell() == 1024
        reader.seek(0)
        numbers = np.zeros(1250)
        assert reader.readinto(numbers) == 10_000
        assert numbers.tobytes() == expected
        reader.seek(0)
        copy = io.BytesIO()
        shutil.copyfileobj(reader, copy)
        assert copy.getvalue() == expected
        reader.seek(0)
        assert io.BufferedReader(reader, 64).read() == expected
    with pytest.raises(ValueError, match="closed"):
        reader.tell()


def test_a_reader_of_a_range_has_its_length() -> None:
    """As encoders of forms ask for it; places count from its start."""
    spec = DataSpec("10KB", 1)
    expected = stream(1, 1250)
    reader = DataReader(spec, offset=1000, length=500)
    assert (len(reader), bool(reader), reader.seek(0, os.SEEK_END)) == (500, True, 500)
    reader.seek(0)
    assert reader.read() == expected[1000:1500]
    assert reader.seek(-5, os.SEEK_END) == 495
    assert reader.read(100) == expected[1495:1500]
    assert DataReader(spec, 9000).read() == expected[9000:]
    empty = DataReader(spec, 10_000)
    assert (len(empty), bool(empty), empty.read()) == (0, True, b"")
    assert len(DataReader(spec)) == 10_000
    with pytest.raises(ValueError, match="length: '1001' is not accepted; give 0 to 1000"):
        DataReader(spec, 9000, 1001)


def test_a_reader_says_what_it_cannot() -> None:
    """In words."""
    reader = DataReader(DataSpec(10, 1))
    for call in (lambda: reader.write(b"x"), lambda: reader.truncate(), reader.fileno):
        with pytest.raises(io.UnsupportedOperation, match=r"."):
            call()
    with pytest.raises(io.UnsupportedOperation, match="only read"):
        reader.writelines([b"x"])


def test_other_libraries_take_the_memory() -> None:
    """By DLPack and by numpy's interface, without a copy, and keep it."""
    view = dgen_mpi.generate_buffer(5000, seed=1)
    expected = bytes(view)
    by_dlpack = np.from_dlpack(view)  # type: ignore[arg-type]
    interface = view.__array_interface__
    assert (interface["typestr"], interface["shape"]) == ("|u1", (5000,))
    assert by_dlpack.ctypes.data == interface["data"][0] == np.frombuffer(view, "u1").ctypes.data
    assert view.__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError, match="copy"):
        view.__dlpack__(copy=True)
    with pytest.raises(BufferError, match="dl_device"):
        view.__dlpack__(dl_device=(2, 0))
    with pytest.raises(TypeError):
        view.__dlpack__(dl_device=2)
    # One that nobody takes goes, too.
    view.__dlpack__(stream=None, max_version=(1, 0), dl_device=(1, 0), copy=False)
    before = sys.getrefcount(view)
    for _ in range(100):
        view.__dlpack__()
    assert sys.getrefcount(view) == before
    del view
    assert by_dlpack.tobytes() == expected


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_garbage_raises_and_does_no_harm(data: st.DataObject) -> None:
    """Whatever is given to whatever, Python goes on."""
    garbage = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(1 << 70), 1 << 70),
        st.floats(),
        st.text(max_size=5),
        st.binary(max_size=5),
        st.builds(bytearray, st.binary(max_size=50)),
        st.builds(lambda n: np.zeros(n)[::2], st.integers(0, 9)),
    )
    source = _native.source(1000, 1, 1000, 2000, 1 << 20, 0, "backref", {}, 1, "off", -1)
    opened, pool = Generator(1000, chunk_size=10), BufferPool()
    functions = [
        *(_native.source, _native.uniform, _native.normalize_rows, _native.topology),
        *(source.fill, source.fill_next, source.compare, source.reserve, source.seek),
        *(source.tell, source.describe, _native.build_info),
        *(Generator, BufferPool, DataSpec, dgen_mpi.generate_into_buffer),
        *(_native.kind, _native.whole, _native.fill_whole, _native.piece, _native.shard),
        *(opened._open, opened._go_on, opened.fill_chunk, opened.seek, opened.set_seed),
        *(opened._reserve, opened.reset, _native.Stream()._go_on, pool._open, pool._change),
        dgen_mpi.normalize_rows,
    ]
    function = data.draw(st.sampled_from(functions))
    arguments = data.draw(st.lists(garbage, max_size=10))
    with contextlib.suppress(
        TypeError, ValueError, OverflowError, BufferError, MemoryError, AttributeError
    ):
        function(*arguments)
    assert _native.source(8, 1, 1000, 1000, 1 << 20, 0, "backref", {}, 1, "off", -1).tell() == 0
