# SPDX-License-Identifier: MIT OR Apache-2.0
"""Data sets: their bytes, any range of them, comparing, manifests."""

from __future__ import annotations

import array
import copy
import hashlib
import itertools
import json
import logging
import mmap
import pickle
import time
from decimal import Decimal
from fractions import Fraction
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import data_set, stream
from specifications import VECTORS_1 as VECTORS

import dgen_mpi
from dgen_mpi import BufferPool, Damage, DataSpec, Generator, UnsuitableBufferError, _native


def content(spec: DataSpec, start: int = 0, stop: int | None = None) -> bytes:
    """Return a range of a data set."""
    buffer = bytearray((spec.size if stop is None else stop) - start)
    spec.fill(buffer, start)
    return bytes(buffer)


@pytest.mark.parametrize("vector", VECTORS["data_sets"])
def test_equals_the_vector(vector: dict[str, Any]) -> None:
    """Every reference data set has the bytes and blocks that it should."""
    spec = DataSpec(**vector["spec"])
    assert spec.blocks == vector["blocks"]
    assert spec.distinct_blocks == vector["distinct_blocks"]
    assert hashlib.sha256(content(spec)).hexdigest() == vector["sha256"]


@pytest.mark.parametrize("vector", VECTORS["stream"])
def test_stream_equals_the_vector(vector: dict[str, Any]) -> None:
    """Any place of the stream of a seed."""
    expected = bytes.fromhex(vector["hex"])
    spec = DataSpec((1 << 63) - 1, vector["seed"])
    start = vector["offset"]
    if start + len(expected) <= spec.size:
        assert content(spec, start, start + len(expected)) == expected


def test_the_largest_data_set_equals_the_vector() -> None:
    """Any place of a data set of 2**63 - 1 bytes."""
    vector = VECTORS["huge"]
    spec = DataSpec(**vector["spec"])
    assert spec.distinct_blocks == vector["distinct_blocks"]
    for sample in vector["samples"]:
        expected = bytes.fromhex(sample["hex"])
        start = sample["offset"]
        assert content(spec, start, start + len(expected)) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40_000),
    st.integers(0, 3),
    st.sampled_from([1000, 1500, 2000, 1_000_000]),
    st.sampled_from([1000, 1001, 1500, 2000, 4000, 10_000, 25_000]),
    st.sampled_from([(4096, 1024), (8192, 512), (4608, 576)]),
    st.sampled_from(["backref", "zeros"]),
    st.data(),
)
def test_every_range_equals_plain_python(
    size: int,
    seed: int,
    dedup: int,
    compress: int,
    units: tuple[int, int],
    fill: str,
    data: st.DataObject,
) -> None:
    """Any range of any small data set, against the text of the format in plain Python."""
    truth = data_set(size, seed, dedup, compress, *units, fill)
    spec = DataSpec(size, seed, Decimal(dedup) / 1000, Decimal(compress) / 1000, *units, fill)
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    memory = np.full(stop - start + 128, 0xA5, dtype=np.uint8)
    shift = data.draw(st.integers(0, 64))
    part = memory[shift : shift + stop - start]
    assert spec.fill(part, start) == stop - start
    assert part.tobytes() == truth[start:stop]
    assert (memory[:shift] == 0xA5).all()
    assert (memory[shift + stop - start :] == 0xA5).all()
    assert spec.compare(part, start) == []
    if stop > start:
        wrong = data.draw(st.integers(0, stop - start - 1))
        part[wrong] ^= 1 << data.draw(st.integers(0, 7))
        assert spec.compare(part, start) == [Damage(start + wrong, 1, 1)]


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_same_bytes_for_every_thread_count(threads: int) -> None:
    """Threads share the work and change nothing."""
    values = {"size": 20_000_003, "seed": 9, "dedup_ratio": 1.5, "compress_ratio": 2.5}
    digest = hashlib.sha256(content(DataSpec(**values, max_threads=1))).hexdigest()
    assert hashlib.sha256(content(DataSpec(**values, max_threads=threads))).hexdigest() == digest


@pytest.mark.parametrize("kernel", ["scalar", "baseline", "x86-v3", "x86-v4"])
def test_same_bytes_for_every_kernel(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels are forced as for the program."""
    expected = content(DataSpec(300_000, 5, compress_ratio=2))
    monkeypatch.setenv("DGEN_KERNEL", kernel)
    try:
        spec = DataSpec(300_000, 5, compress_ratio=2)
    except ValueError:
        pytest.skip(f"this processor cannot run {kernel}")
    assert spec.kernel == kernel
    assert content(spec) == expected


def test_an_unknown_kernel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which there are."""
    monkeypatch.setenv("DGEN_KERNEL", "mmx")
    with pytest.raises(ValueError, match=r"DGEN_KERNEL: 'mmx' is not accepted; give .*scalar"):
        DataSpec(1, 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": -1}, "size: '-1' is not accepted; give 0 or more"),
        ({"seed": -1}, "seed: '-1' is not accepted; give 0 to"),
        ({"seed": 1 << 64}, "seed: '18446744073709551616' is not accepted"),
        ({"dedup_ratio": 0.5}, "dedup_ratio: '0.5' is not accepted; give 1 to 1000000"),
        ({"dedup_ratio": -1}, "dedup_ratio"),
        ({"dedup_ratio": float("nan")}, "dedup_ratio: 'nan' is not accepted"),
        ({"dedup_ratio": float("inf")}, "dedup_ratio: 'inf' is not accepted"),
        ({"dedup_ratio": 1.0005}, "at most 3 decimals"),
        ({"dedup_ratio": "two"}, "dedup_ratio: 'two' is not accepted"),
        ({"dedup_ratio": f"1.{'0' * 30}1"}, "at most 3 decimals"),
        ({"dedup_ratio": "1e999999999"}, "dedup_ratio: '1e999999999' is not accepted"),
        ({"dedup_ratio": "1e-999999999"}, "dedup_ratio: '1e-999999999' is not accepted"),
        ({"dedup_ratio": Fraction(10**400, 3)}, "dedup_ratio: '1000"),
        ({"dedup_ratio": 10**5000}, "dedup_ratio: '0x.*is not accepted"),
        ({"compress_ratio": Fraction(15 * 10**40 + 1, 10**41)}, "at most 3 decimals"),
        ({"compress_ratio": 1e300}, "compress_ratio"),
        ({"compress_ratio": 65}, "compress_ratio: '65' is not accepted; give 1 to 64"),
        ({"dedup_unit": 1000}, "dedup_unit: '1000' is not accepted; give a multiple of 512"),
        ({"compress_unit": 100}, "compress_unit: '100' is not accepted"),
        ({"fill": "ones"}, "fill: 'ones' is not accepted; give backref or zeros"),
        ({"max_threads": -1}, "max_threads: '-1' is not accepted"),
        ({"numa_mode": "x"}, "numa_mode: 'x' is not accepted; give auto, force or disabled"),
        ({"numa_node": 12345}, "numa_node: '12345' is not accepted; give a node"),
    ],
)
def test_wrong_values_are_named(values: dict[str, Any], message: str) -> None:
    """The message names field, value and what is accepted."""
    with pytest.raises(ValueError, match=message):
        DataSpec(**{"size": 1000, "seed": 1, **values})


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"size": 1.5}, TypeError),
        ({"size": b"1"}, TypeError),
        ({"size": 1 << 63}, OverflowError),
        ({"size": 10**5000}, OverflowError),
        ({"seed": 1.0}, TypeError),
        ({"dedup_ratio": [2]}, TypeError),
        ({"dedup_unit": 1 << 70}, OverflowError),
        ({"fill": 3}, TypeError),
        ({"numa_mode": 3}, ValueError),
    ],
)
def test_wrong_types_are_refused(values: dict[str, Any], error: type[Exception]) -> None:
    """As Python has it for numbers and texts."""
    with pytest.raises(error):
        DataSpec(**{"size": 1000, "seed": 1, **values})


def test_ratios_are_exact() -> None:
    """Whatever they are given as."""
    kinds: list[Any] = [1.333, "1.333", Decimal("1.333"), Fraction(1333, 1000)]
    specs = {DataSpec(10, 1, ratio, np.float64(2.5)) for ratio in kinds}
    assert len(specs) == 1
    assert specs.pop().as_dict()["compress_ratio"] == 2.5


def test_a_seed_is_drawn_below_2_to_the_53() -> None:
    """So that every reader of JSON keeps it exactly."""
    seeds = {DataSpec(10).seed for _ in range(50)}
    assert len(seeds) == 50
    assert max(seeds) < 1 << 53


def test_opening_the_largest_costs_nothing() -> None:
    """Constant time and memory, whatever the size."""

    def fastest(size: int) -> float:
        times = []
        for _ in range(20):
            start = time.perf_counter()
            DataSpec(size, 1, dedup_ratio=3, compress_ratio=2)
            times.append(time.perf_counter() - start)
        return min(times)

    assert fastest(1 << 60) < 10 * fastest(1 << 10)


@pytest.mark.parametrize("dtype", ["u1", "i1", "<f4", ">i8", "c16", "M8[s]", "?", "S7", "f2"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4), (0, 5)])
def test_arrays_of_any_type_and_shape(dtype: str, shape: tuple[int, ...]) -> None:
    """All that counts is that memory is in one piece."""
    made = np.zeros(shape, dtype=dtype)
    spec = DataSpec(10_000, 3)
    assert spec.fill(made, 777) == made.nbytes
    assert made.tobytes() == stream(3, 1250)[777 : 777 + made.nbytes]
    assert spec.compare(made, 777) == []


def test_buffers_of_all_kinds(tmp_path: Path) -> None:
    """Everything writable with the buffer protocol."""
    spec = DataSpec(4096, 3)
    expected = stream(3, 512)
    name = tmp_path / "mapped"
    name.write_bytes(bytes(4096))
    shared = shared_memory.SharedMemory(create=True, size=4096)
    try:
        with name.open("r+b") as file, mmap.mmap(file.fileno(), 4096) as mapped:
            for buffer in (bytearray(4096), array.array("d", bytes(4096)), mapped, shared.buf):
                assert spec.fill(buffer) == 4096
                assert bytes(memoryview(buffer).cast("B")[:4096]) == expected
        inner = memoryview(bytearray(6000))[1000:5096]
        spec.fill(inner)
        assert bytes(inner) == expected
        assert bytes(inner.obj[:1000]) == bytes(1000)
    finally:
        shared.close()
        shared.unlink()
    assert name.read_bytes() == expected


@pytest.mark.parametrize(
    "buffer",
    [
        b"read-only",
        memoryview(b"read-only"),
        np.zeros(10)[::2],
        np.zeros((4, 4)).T,
        np.broadcast_to(np.zeros(1), 8),
        memoryview(bytearray(10))[::-1],
    ],
)
def test_unsuitable_memory_is_refused(buffer: Any) -> None:
    """Nothing is written, and programs for dgen-py catch the error that they expect."""
    before = bytes(buffer)
    for kind in (UnsuitableBufferError, BufferError, ValueError):
        with pytest.raises(kind):
            DataSpec(1000, 1).fill(buffer)
    assert bytes(buffer) == before


@pytest.mark.parametrize("buffer", ["text", None, 3, [1, 2], object()])
def test_what_is_no_buffer_is_refused(buffer: Any) -> None:
    """As Python has it."""
    with pytest.raises(TypeError):
        DataSpec(1000, 1).fill(buffer)
    with pytest.raises(TypeError):
        DataSpec(1000, 1).compare(buffer)


@pytest.mark.parametrize(
    ("length", "offset"), [(1001, 0), (1, 1000), (10, 991), (0, 1001), (1, (1 << 63) - 1)]
)
def test_ranges_outside_are_refused(length: int, offset: int) -> None:
    """Neither filled nor compared."""
    spec = DataSpec(1000, 1)
    with pytest.raises(ValueError, match="go past the end of the data set; it has 1000 bytes"):
        spec.fill(bytearray(length), offset)
    with pytest.raises(ValueError, match="go past the end"):
        spec.compare(bytes(length), offset)


def test_damage_is_found_where_it_is() -> None:
    """Wrong bytes that lie close together are one range; a list that is cut counts all."""
    spec = DataSpec(8 << 20, 4, dedup_ratio=2, compress_ratio=2)
    found = bytearray(content(spec))
    assert spec.compare(bytes(found)) == []
    for offset in (5, 10, 500_000, 8_000_000):
        found[offset] ^= 0xFF
    damage = spec.compare(memoryview(found).toreadonly(), limit=2)
    assert damage == [Damage(5, 6, 2), Damage(500_000, 1, 1)]
    assert (damage.range_count, damage.range_bytes, damage.wrong_bytes) == (3, 8, 4)
    assert damage.last == Damage(8_000_000, 1, 1)
    assert spec.compare(found, limit=3).last == damage.last
    assert spec.compare(content(spec)).last is None
    assert damage[0].offset == 5
    with pytest.raises(ValueError, match="limit"):
        spec.compare(bytes(10), limit=0)


def test_manifests_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By the name of the data or their own; what is no manifest is refused."""
    spec = DataSpec(12_345, (1 << 64) - 1, dedup_ratio=2.5, compress_ratio=1.333, fill="zeros")
    data = tmp_path / "data"
    manifest = tmp_path / "data.dgen.json"

    def write(**changes: Any) -> None:
        whole = {"format": "dgen/1", "status": "complete", "spec": spec.as_dict(), "new": 1}
        manifest.write_text(json.dumps({**whole, **changes}), encoding="utf-8")

    write()
    assert DataSpec.from_manifest(data) == spec
    assert DataSpec.from_manifest(str(manifest)) == spec
    write(status="writing")
    with caplog.at_level(logging.WARNING, logger="dgen_mpi"):
        assert DataSpec.from_manifest(data) == spec
    assert "did not end well" in caplog.text
    for changes, message in [
        ({"format": "dgen/3"}, "format: 'dgen/3' is not known here"),
        ({"status": "done"}, "status: must be"),
        ({"spec": None}, "spec: missing"),
        ({"spec": {"size": 1}}, "spec: seed: missing"),
        ({"spec": {**spec.as_dict(), "dedup_ratio": 0}}, "spec: dedup_ratio: '0' is not"),
        ({"spec": {**spec.as_dict(), "size": "x"}}, "spec: "),
    ]:
        write(**changes)
        with pytest.raises(ValueError, match=message):
            DataSpec.from_manifest(data)
    manifest.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="not a manifest"):
        DataSpec.from_manifest(data)
    manifest.unlink()
    with pytest.raises(ValueError, match=r"x\\x00\\n\.dgen\.json: "):
        DataSpec.from_manifest("x\0\n")
    with pytest.raises(FileNotFoundError):
        DataSpec.from_manifest(data)


def test_a_pickled_spec_keeps_all() -> None:
    """Also how it is to be made."""
    spec = DataSpec(
        *("1MiB", 5, 2, 1.5, "64KiB", 512, "zeros"), max_threads=3, numa_mode="force", numa_node=0
    )
    for other in (copy.copy(spec), pickle.loads(pickle.dumps(spec))):
        assert other == spec
        assert other.threads == 3
        assert other._how == {"max_threads": 3, "numa_mode": "force", "numa_node": 0}
        assert vars(other).keys() == vars(spec).keys()


@pytest.mark.parametrize(
    ("text", "size"), [("1GiB", 1 << 30), ("1.5k", 1536), ("64", 64), ("2MB", 2_000_000)]
)
def test_sizes_are_texts_too(text: str, size: int) -> None:
    """As the program takes them, wherever bytes are meant."""
    spec = DataSpec(text, 1)
    assert spec.size == _native.parse_size(text, "size") == size
    assert Generator(text, chunk_size=text).chunk_size == size
    if size < 1 << 24:
        assert len(dgen_mpi.generate_buffer(text)) == len(BufferPool().next_slice(text)) == size
    buffer, other = bytearray(50), bytearray(50)
    large = DataSpec("1EiB", 1, dedup_unit="4KiB", compress_unit="1KiB")
    large.fill(buffer, text)
    large.fill(other, size)
    assert buffer == other
    assert large.compare(buffer, text) == []
    for wrong in ("", "1Q", "-1", "1 2", "x" * 300):
        with pytest.raises(ValueError, match=r"size: '.*' is not accepted; give"):
            DataSpec(wrong, 1)
        with pytest.raises(ValueError, match=r"offset: '.*' is not accepted; give"):
            spec.fill(buffer, wrong)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DataSpec(1e9), r"size: '1000000000.0' is not accepted; give a whole number, or"),
        (lambda: DataSpec(1, 2.0), "seed: '2.0' is not accepted; give a whole number"),
        (lambda: DataSpec(1, 2, [3]), r"dedup_ratio: '\[3\]' is not accepted"),
        (lambda: DataSpec(1, 2, dedup_unit=4096.0), "dedup_unit: '4096.0' is not accepted"),
        (lambda: DataSpec(1, 2, max_threads=1.5), "max_threads: '1.5' is not accepted"),
        (lambda: DataSpec(1, 2, numa_node="x"), "numa_node: 'x' is not accepted"),
        (lambda: DataSpec(1, 2, fill=3), "fill: a text is needed; give backref or zeros"),
        (lambda: DataSpec(1, 2).checksum(None), "algorithm: a text is needed; give crc64nvme"),
        (lambda: DataSpec(1, 2).write_manifest(b"x"), "path: a text is needed"),
        (lambda: DataSpec(8, 2).fill(bytearray(1), 1.0), "offset: '1.0' is not accepted"),
        (lambda: DataSpec(8, 2).fill(7), "buffer: a bytes-like object is required, not 'int'"),
        (lambda: DataSpec(8, 2).shard(0.5, 2), "rank: '0.5' is not accepted"),
        (lambda: Generator(1e9), "size: '1000000000.0' is not accepted; give a whole number"),
        (lambda: Generator(1, {}), "dedup_ratio: '{}' is not accepted"),
        (lambda: Generator(1).set_seed(1.0), "seed: '1.0' is not accepted"),
        (lambda: Generator(1).seek(None), "offset: 'None' is not accepted"),
        (lambda: Generator(1).get_chunk(1.0), "chunk_size: '1.0' is not accepted"),
        (lambda: BufferPool().next_slice(1.0), "size: '1.0' is not accepted"),
        (lambda: dgen_mpi.generate_buffer(1e3), "size: '1000.0' is not accepted"),
        (lambda: dgen_mpi.generate_into_buffer(5), "buffer: a bytes-like object is required"),
        (lambda: dgen_mpi.generate_uniform(1.0), "count: '1.0' is not accepted"),
        (lambda: dgen_mpi.create_bytearrays(1, 1.0), "size: '1.0' is not accepted"),
    ],
)
def test_a_wrong_type_is_told_with_its_argument(call: Any, message: str) -> None:
    """Whichever function it is."""
    with pytest.raises(TypeError, match=message):
        call()


def test_errors_tell_the_orders_of_parameters_apart() -> None:
    """The second is dgen-py's ratio in one class, a seed in the other; one of them rounds."""
    assert Generator(8 << 20, 42)._state()[3][0] == 42_000
    assert DataSpec(8 << 20, 42).seed == 42
    assert Generator(8, 1.0001)._state()[3][0] == 1000
    with pytest.raises(ValueError, match=r"at most 3 decimals \(only Generator and its kind round"):
        DataSpec(8, 1, 1.0001)
    for seed in (1_000_001, 1 << 60):
        with pytest.raises(ValueError, match=r"dedup_ratio: .* a seed is given by its name"):
            Generator(8, seed)
    for kind in (DataSpec, Generator):
        assert "The second parameter is" in (kind.__doc__ or "")


@pytest.mark.parametrize("align", [1, 4096, "1MiB", 1 << 40])
def test_shards_are_those_of_the_program(align: Any) -> None:
    """They make up the data set, in order, and differ by one unit at most."""
    unit = DataSpec(align, 1).size
    for size in (0, 1, 10_000_001, 5 * unit, (1 << 63) - 1):
        spec = DataSpec(size, 1)
        for count in (1, 3, 64):
            shards = [spec.shard(rank, count, align) for rank in range(count)]
            assert shards[0].start == 0
            assert shards[-1].stop == size
            for one, other in itertools.pairwise(shards):
                assert one.stop == other.start
                assert other.start % unit == 0 or other.start == size
            lengths = [-(-len(shard) // unit) for shard in shards]
            assert max(lengths) - min(lengths) <= 1
            assert lengths == sorted(lengths, reverse=True)
    assert DataSpec("1GiB", 1).shard(1, 3) == range(342 << 20, 683 << 20)
    for rank, count in [(3, 3), (-1, 3), (0, 0)]:
        with pytest.raises(ValueError, match="is not accepted; give"):
            DataSpec(10, 1).shard(rank, count)


def test_damage_tells_what_it_is() -> None:
    """Its kind, and what is known of it."""
    spec = DataSpec(100_000, 1)
    buffer = bytearray(100_000)
    spec.fill(buffer)
    buffer[5000:6000] = bytes(1000)
    buffer[70_000] ^= 4
    hole, flip = spec.compare(buffer)
    assert repr(hole).startswith("Damage(offset=5000, bytes=1000, wrong_bytes=")
    assert ", kind='zeros', " in repr(hole)
    assert ", flipped_bits=1, bits=[(70000, 2)], " in repr(flip)
    assert repr(Damage(1, 2, 2)) == "Damage(offset=1, bytes=2, wrong_bytes=2)"
    for other in (copy.copy(hole), pickle.loads(pickle.dumps(hole))):
        assert repr(other) == repr(hole)


def test_equal_specs_are_equal() -> None:
    """As values: comparing, hashing, pickling, showing."""
    spec = DataSpec(1000, 7, 1.5)
    same = pickle.loads(pickle.dumps(spec))
    assert same == spec
    assert hash(same) == hash(spec)
    assert same != DataSpec(1000, 8, 1.5)
    assert eval(repr(spec), {"DataSpec": DataSpec}) == spec
    assert content(same) == content(spec)


def test_damage_is_called_what_it_is() -> None:
    """Each kind, told by the bytes alone; offsets and seeds where they came from."""
    spec = DataSpec(3_000_000, 5, compress_ratio=1.5)
    older = DataSpec(3_000_000, 4, compress_ratio=1.5)
    right, old = bytearray(3_000_000), bytearray(3_000_000)
    spec.fill(right)
    older.fill(old)
    found = bytearray(right)
    found[1000:1100] = bytes(100)
    found[100_000:100_500] = old[100_000:100_500]
    found[200_003:201_003] = right[2_500_000:2_501_000]
    found[300_000] ^= 0b1010
    found[400_001:400_101] = bytes(range(100))
    found[500_224:500_736] = bytes(512)
    found[500_736:502_000] = old[500_736:502_000]
    damage = spec.compare(found, also_known=[4, 9])
    kinds = ["zeros", "stale", "misplaced", "bit_flips", "foreign", "mixed"]
    assert [it.kind for it in damage] == kinds
    zeros, stale, misplaced, flips, _, mixed = damage
    assert zeros.expected == right[zeros.offset : zeros.offset + 16]
    assert zeros.found == bytes(16)
    assert stale.seed == 4
    assert misplaced.source_offset == 2_500_000 + misplaced.offset - 200_003
    assert (flips.flipped_bits, flips.bits) == (2, [(300_000, 1), (300_000, 3)])
    assert [part[0] for part in mixed.parts] == ["zeros", "stale"]
    assert spec.compare(found)[1].kind == "foreign"
    # Far from where it is, and not looked for there.
    assert spec.compare(found, search_bytes=0)[2].kind == "foreign"
    offset, length, wrong = flips
    assert (offset, length, wrong) == (300_000, 1, 1)
    assert flips.as_dict()["bits"] == [(300_000, 1), (300_000, 3)]
    assert "seed" not in flips.as_dict()
    with pytest.raises(ValueError, match="seed"):
        spec.compare(found, also_known=[-1])


def test_what_lies_far_apart_is_looked_for_around_each() -> None:
    """Not around the first damage alone, however little of the data set is looked through."""
    spec = DataSpec(20_000_000, 5)
    right = content(spec)
    found = bytearray(right)
    for place in (1_000_000, 1_100_000, 18_000_000):
        found[place : place + 1000] = right[place + 400_000 : place + 401_000]
    damage = spec.compare(found, search_bytes=2 << 20)
    assert [(it.kind, (it.source_offset or 0) - it.offset) for it in damage] == [
        ("misplaced", 400_000)
    ] * 3
