# SPDX-License-Identifier: MIT OR Apache-2.0
"""The kernels for GPUs, compiled as C: bytes and damage are those of the CPU."""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import pytest
from conftest import cases, chance, missing, rounds
from specifications import VECTORS_1, VECTORS_2, fields_of

from dgen_mpi import DataSpec, UnsuitableBufferError, gpu
from dgen_mpi.gpu import _device, _plan, _work

SOURCE = Path(_work.__file__).with_name("kernels.cu")
MILLION = 1_000_000


class Host:
    """The kernels as functions, and this process's memory."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self.kept: dict[int, Any] = {}
        self.launched: list[str] = []
        self.own_stream = None
        self.is_recorded = False
        self.cache = _work.Cache(self)

    def launch(self, kernel: str, call: _plan.Call, count: int, stream: Any) -> None:
        """Run a kernel to its end."""
        assert count > 0
        self.launched.append(kernel)
        self.library[kernel](ctypes.byref(call))

    def is_recording(self, stream: Any) -> bool:
        """Tell what the test says."""
        return self.is_recorded

    def reserve(self, count: int) -> int:
        """Return memory in which nothing is zero by chance."""
        memory = ctypes.create_string_buffer(b"\xa5" * (count + 256), count + 256)
        address = -(-ctypes.addressof(memory) // 256) * 256
        self.kept[address] = memory
        return address

    def release(self, address: int) -> None:
        """Forget memory."""
        del self.kept[address]

    def borrow(self, count: int, stream: Any) -> int:
        """Return memory."""
        return self.reserve(count)

    def give_back(self, address: int, stream: Any) -> None:
        """Forget memory."""
        self.release(address)

    def write(self, address: int, data: bytes, stream: Any) -> None:
        """Copy."""
        ctypes.memmove(address, data, len(data))

    def clear(self, address: int, count: int, stream: Any) -> None:
        """Make zeros."""
        ctypes.memset(address, 0, count)

    def read(self, address: int, count: int, stream: Any) -> bytearray:
        """Copy."""
        return bytearray(ctypes.string_at(address, count))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Return the kernels, compiled here."""
    compiler = next(filter(shutil.which, (os.environ.get("CC") or "cc", "gcc", "clang")), None)
    if compiler is None:
        missing("there is no C compiler")
    library = tmp_path_factory.mktemp("kernels") / "kernels.so"
    options = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([compiler, "-x", "c", *options, "-o", library, SOURCE], check=True)
    return Host(ctypes.CDLL(str(library)))


def made(
    host: Host, spec: DataSpec, start: int, stop: int, shift: int = 0, piece: int | None = None
) -> bytes:
    """Return a range as the kernels make it, and see that nothing around it is touched."""
    memory = host.reserve(stop - start + 64)
    first = memory + shift
    _work.fill(host, spec, first, start, stop - start, None, piece)
    found = bytes(host.read(memory, stop - start + 64, None))
    assert set(found[:shift] + found[shift + stop - start :]) <= {0xA5}
    host.release(memory)
    return found[shift : shift + stop - start]


def expected(spec: DataSpec, start: int, stop: int) -> bytes:
    """Return a range as the CPU makes it."""
    buffer = bytearray(stop - start)
    spec.fill(buffer, start)
    return bytes(buffer)


@pytest.mark.parametrize("vector", VECTORS_1["data_sets"])
def test_equals_the_vector_of_version_1(host: Host, vector: dict[str, Any]) -> None:
    """Every reference data set."""
    spec = DataSpec(**vector["spec"])
    assert hashlib.sha256(made(host, spec, 0, spec.size)).hexdigest() == vector["sha256"]


@pytest.mark.parametrize("vector", VECTORS_2["sets"])
def test_equals_the_vector_of_version_2(host: Host, vector: dict[str, Any]) -> None:
    """Every reference data set."""
    spec = DataSpec(**fields_of(vector["spec"]))
    assert hashlib.sha256(made(host, spec, 0, spec.size)).hexdigest() == vector["sha256"]


@pytest.mark.parametrize("vector", VECTORS_1["stream"])
def test_stream_equals_the_vector(host: Host, vector: dict[str, Any]) -> None:
    """Any place of the stream of a seed."""
    wanted = bytes.fromhex(vector["hex"])
    spec, start = DataSpec((1 << 63) - 1, vector["seed"]), vector["offset"]
    if start + len(wanted) <= spec.size:
        assert made(host, spec, start, start + len(wanted)) == wanted


def test_the_largest_data_sets_equal_the_vectors(host: Host) -> None:
    """Any place of data sets of 2**63 - 1 bytes."""
    first, second = VECTORS_1["huge"], VECTORS_2["huge"]
    spec = DataSpec(**first["spec"])
    for sample in first["samples"]:
        wanted = bytes.fromhex(sample["hex"])
        assert made(host, spec, sample["offset"], sample["offset"] + len(wanted)) == wanted
    spec = DataSpec(**fields_of(second["spec"]))
    for block in second["blocks"]:
        start = int(block["block"]) * spec.dedup_unit
        assert made(host, spec, start, start + 16).hex() == block["first_16"]


def shares(numbers: random.Random, count: int, total: int) -> list[Fraction]:
    """Return that many shares, which are so many millionths together, or none."""
    ends = sorted(numbers.randrange(total + 1) for _ in range(count - 1))
    return [Fraction(b - a, MILLION) for a, b in zip([0, *ends], [*ends, total], strict=True)]


def random_spec(numbers: random.Random) -> DataSpec:
    """Return a data set of either version, of any size up to the largest."""
    grain = numbers.choice([512, 512, 1024, 1024, 576, 4096, 8192, 65536])
    block = grain * numbers.choice([1, 2, 3, 4, 8, 16, 64, 67, 256])
    while block % 512:
        block *= 2
    size = numbers.choice(
        [numbers.randrange(1, 40 * block), numbers.randrange(1, 1 << 40), (1 << 63) - 1]
    )
    fields: dict[str, Any] = {
        **{"size": size, "seed": numbers.getrandbits(64), "dedup_unit": block},
        **{"compress_unit": grain, "fill": numbers.choice(["backref", "zeros"])},
    }
    most = 1000 * grain // (grain // 256 + (8 if grain >= 4096 else 4) + 8)

    def ratio() -> Fraction:
        return Fraction(numbers.choice([1001, 1500, 2000, 3333, 9000, most, 1000]), 1000)

    is_second = numbers.random() < 0.6
    if not is_second or numbers.random() < 0.3:
        if numbers.random() < 0.6:
            fields["compress_ratio"] = ratio()
        if numbers.random() < 0.5:
            fields["dedup_ratio"] = Fraction(numbers.choice([1001, 1500, 7000, 10**9]), 1000)
    if not is_second:
        return DataSpec(**fields)
    if "compress_ratio" not in fields and numbers.random() < 0.6:
        parts = shares(numbers, numbers.choice([1, 2, 2, 32]), MILLION)
        fields["compress_mix"] = [(ratio(), part) for part in parts]
    zeros = 0
    if numbers.random() < 0.5:
        zeros = numbers.choice([0, 1, numbers.randrange(400_001), numbers.randrange(MILLION + 1)])
        fields["zeros"] = Fraction(zeros, MILLION)
    if "dedup_ratio" not in fields and numbers.random() < 0.6:
        most = numbers.choice([MILLION - zeros, (MILLION - zeros) // 2])
        fields["copies"] = [
            (numbers.choice([2, 3, numbers.randrange(2, 9), 1 << 40]), part)
            for part in shares(numbers, numbers.choice([1, 2, 3, 32]), most)
        ]
    if numbers.random() < 0.6:
        fields["run"] = numbers.choice([1, 2, 3, 7, 1000, 1 << 40])
    if numbers.random() < 0.6 or fields.keys().isdisjoint(
        {"copies", "zeros", "compress_mix", "run"}
    ):
        fields["change"] = [
            (part, Fraction(numbers.choice([1, MILLION, numbers.randrange(1, MILLION)]), MILLION))
            for part in shares(numbers, numbers.choice([1, 2, 3, 8]), numbers.randrange(MILLION))
        ]
        fields["generation"] = numbers.choice([0, 1, 2, 7, 40, 10**6, (1 << 32) - 1])
    return DataSpec(**fields)


def random_range(numbers: random.Random, spec: DataSpec) -> tuple[int, int]:
    """Return a range, often with ends that are multiples of something."""
    most = min(spec.size, 1 << numbers.randrange(21))
    length = numbers.randrange(1, most + 1)
    start = numbers.randrange(spec.size - length + 1)
    if numbers.random() < 0.5:
        start -= start % 512
    if numbers.random() < 0.3:
        start -= start % spec.dedup_unit
    if numbers.random() < 0.1:
        start = spec.size - length
    return start, start + length


def test_any_specification_equals_the_cpu(host: Host) -> None:
    """Any range, at any address, in pieces of any length; and damage to it."""
    numbers = chance()
    for number in range(rounds(300, 3000)):
        spec = random_spec(numbers)
        start, stop = random_range(numbers, spec)
        shift = numbers.choice([0, 0, 4, 8, 16, 1, 7, start % 16])
        case = f"case {number}: {spec!r}, {start} to {stop} at {shift}"
        wanted = expected(spec, start, stop)
        assert made(host, spec, start, stop, shift) == wanted, case
        memory = host.reserve(stop - start + 64)
        host.write(memory + shift, wanted, None)
        arguments = (None, 1000, b"", 1 << 20)
        damage = _work.compare(host, spec, memory + shift, start, stop - start, *arguments)
        assert (damage, damage.range_count) == ([], 0), case
        found = bytearray(wanted)
        for _ in range(numbers.randrange(1, 5)):
            place = numbers.randrange(len(found))
            end = min(len(found), place + numbers.choice([1, 1, 8, 700, 5000]))
            if numbers.random() < 0.5:
                found[place:end] = bytes(end - place)
            else:
                found[place] ^= 1 << numbers.randrange(8)
        host.write(memory + shift, bytes(found), None)
        damage = _work.compare(host, spec, memory + shift, start, stop - start, *arguments)
        same = spec.compare(found, start, search_bytes=1 << 20)
        assert [each.as_dict() for each in damage] == [each.as_dict() for each in same], case
        assert vars(damage) == vars(same), case
        host.release(memory)


def test_pieces_of_every_length(host: Host) -> None:
    """A block as one piece, and as many: the bytes are the same."""
    for fields in (
        {"dedup_ratio": 3},
        {"compress_ratio": 2.5},
        {"compress_ratio": 2.5, "dedup_ratio": 2},
        {"copies": {2: 0.5}},
        {"copies": {2: 0.5}, "zeros": 0.1, "compress_mix": "1:20%,3:80%"},
    ):
        spec = DataSpec(3_000_001, 7, dedup_unit=65536, **fields)
        wanted = expected(spec, 12_345, spec.size)
        for piece in (1024, 4096, 65536):
            assert made(host, spec, 12_345, spec.size, 1, piece) == wanted


def test_no_byte_outside_is_looked_at(host: Host) -> None:
    """Neither before an array nor behind it: there are pages that nobody may read."""
    page, library = mmap.PAGESIZE, ctypes.CDLL(None, use_errno=True)
    memory = mmap.mmap(-1, 66 * page)
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for guard in (first, first + 65 * page):
        assert library.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0) == 0
    numbers = chance(1)
    for number in range(rounds(100, 1000)):
        spec = random_spec(numbers)
        length = min(spec.size, numbers.choice([64 * page, numbers.randrange(1, 64 * page)]))
        start = numbers.randrange(spec.size - length + 1)
        if numbers.random() < 0.5:
            start -= start % 4096
        for address in (first + page, first + 65 * page - length):
            _work.fill(host, spec, address, start, length, None)
            how = (None, 1, b"", 0)
            case = f"case {number}: {spec!r}, {start}, {length}"
            assert _work.compare(host, spec, address, start, length, *how) == [], case


def test_many_data_sets_take_constant_memory(host: Host) -> None:
    """Plans of data sets that were used long ago are given back."""
    for seed in range(2 * _work.PLANS_MAX):
        made(host, DataSpec(1000, seed), 0, 1000)
    assert len(host.kept) <= _work.PLANS_MAX + 1


def test_what_recorded_work_uses_stays(host: Host) -> None:
    """A CUDA graph may be launched long after it was made, and nobody tells when it is gone."""

    class Recorder(Host):
        calls: ClassVar[list[tuple[str, _plan.Call]]] = []

        def launch(self, kernel: str, call: _plan.Call, count: int, stream: Any) -> None:
            """Run a kernel, and keep what it was told."""
            super().launch(kernel, call, count, stream)
            if self.is_recorded:
                self.calls.append((kernel, _plan.Call.from_buffer_copy(call)))

    recorder = Recorder(host.library)
    spec = DataSpec(1 << 30, 3, copies={2: 0.3}, dedup_unit=4096)
    memory = recorder.reserve(20_000)
    # Known before, as it has to be.
    _work.fill(recorder, spec, memory, 12_345, 20_000, None)
    recorder.is_recorded = True
    _work.fill(recorder, spec, memory, 12_345, 20_000, None)
    recorder.is_recorded = False
    for seed in range(2 * _work.PLANS_MAX):
        made(recorder, DataSpec(1000, seed), 0, 1000)
    ((kernel, call),) = recorder.calls
    assert call.plan in recorder.kept
    recorder.clear(memory, 20_000, None)
    recorder.launch(kernel, call, 1, None)
    assert recorder.read(memory, 20_000, None) == expected(spec, 12_345, 32_345)


@pytest.mark.parametrize(
    "failing", ["table_bits", "table_sums", "parts", "blocks", "fill", "write"]
)
def test_what_fails_leaves_no_memory_behind(host: Host, failing: str) -> None:
    """Where there is no compiler, say: however often it is tried, and it works later."""

    class Failing(Host):
        def launch(self, kernel: str, call: _plan.Call, count: int, stream: Any) -> None:
            """Run a kernel, but for one."""
            if kernel.startswith(failing):
                raise gpu.GPUError(f"gpu: {failing}")
            super().launch(kernel, call, count, stream)

        def write(self, address: int, data: bytes, stream: Any) -> None:
            """Copy, if that is not what fails."""
            if failing == "write":
                raise gpu.GPUError("gpu: write")
            super().write(address, data, stream)

    machine = Failing(host.library)
    spec = DataSpec(1 << 30, 3, 2, 2, dedup_unit=4096 if failing == "blocks" else 1 << 20)
    memory = machine.reserve(4096)
    most = 0
    for _ in range(3):
        with pytest.raises(gpu.GPUError, match=f"gpu: {failing}"):
            _work.fill(machine, spec, memory, 0, 4096, None)
        most = most or len(machine.kept)
        assert len(machine.kept) == most <= 3
    failing = "nothing"
    _work.fill(machine, spec, memory, 0, 4096, None)
    assert machine.read(memory, 4096, None) == expected(spec, 0, 4096)


def test_what_only_the_device_finds_wrong_is_not_right(host: Host) -> None:
    """Memory that is still being written: that it is right a moment later does not count."""

    class Late(Host):
        arrival: Callable[[], None] | None = None

        def read(self, address: int, count: int, stream: Any) -> bytearray:
            """Copy, and then let the rest of the data come."""
            found = super().read(address, count, stream)
            if self.arrival is not None:
                self.arrival()
            return found

    late = Late(host.library)
    spec = DataSpec(1 << 20, 1)
    data = bytearray(expected(spec, 100, 60_100))
    memory = late.reserve(60_000)
    how = (None, 10, b"", 0)
    data[9000:9100], right = bytes(100), bytes(data)
    late.write(memory, bytes(data), None)
    assert len(_work.compare(late, spec, memory, 100, 60_000, *how)) == 1
    late.arrival = lambda: late.write(memory, right, None)
    late.write(memory, bytes(data), None)
    with pytest.raises(gpu.GPUError, match="at offset 8192, and a copy of them is right"):
        _work.compare(late, spec, memory, 100, 60_000, *how)


def test_much_that_is_damaged_is_copied_in_few_pieces(host: Host) -> None:
    """Every second page: a copy of each would take a thousand times as long as one of all."""

    class Counting(Host):
        reads: ClassVar[list[int]] = []

        def read(self, address: int, count: int, stream: Any) -> bytearray:
            """Copy, and count."""
            self.reads.append(count)
            return super().read(address, count, stream)

    counting = Counting(host.library)
    spec = DataSpec(1 << 30, 1, copies={2: 0.3}, dedup_unit=4096)
    data = bytearray(expected(spec, 0, 8 << 20))
    for start in (*range(0, 1 << 20, 8192), 5 << 20, (5 << 20) + (200 << 10)):
        data[start : start + 4096] = bytes(4096)
    memory = counting.reserve(8 << 20)
    counting.write(memory, bytes(data), None)
    counting.cache.powers()
    counting.reads.clear()
    damage = _work.compare(counting, spec, memory, 0, 8 << 20, None, 1, b"", 0)
    same = spec.compare(data, limit=1, search_bytes=0)
    assert (damage[0].as_dict(), vars(damage)) == (same[0].as_dict(), vars(same))
    # Whether there are any, which, and three stretches; and the listed one once more.
    large = [count for count in counting.reads if count > 4096]
    assert large == [(1 << 20) - 4096]
    assert len(counting.reads) <= 6


class OnDevice:
    """What says that it is an array on a GPU."""

    def __init__(self, address: int, count: int, **more: Any) -> None:
        described = {"shape": (count,), "typestr": "|u1", "data": (address, False), "version": 3}
        self.__cuda_array_interface__ = {**described, "strides": None, **more}


def test_a_specification_fills_and_compares_what_is_on_a_device(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the way, but for the driver: the numbers, what is refused, and the stream."""
    streams = []

    class Device(Host):
        def launch(self, kernel: str, call: _plan.Call, count: int, stream: Any) -> None:
            """Run a kernel, and keep the stream of those that are not for tables."""
            super().launch(kernel, call, count, stream)
            if stream is not None:
                streams.append(stream)

    device = Device(host.library)
    memory = device.reserve(8192)
    asked = []
    monkeypatch.setattr(_device, "_start", lambda: None)
    monkeypatch.setattr(
        _device, "device_of", lambda address: 5 if memory <= address < memory + 8192 else None
    )
    monkeypatch.setattr(_device, "device", lambda number: asked.append(number) or device)
    spec = DataSpec(1 << 20, 3, compress_ratio=2)
    array = OnDevice(memory, 2048, typestr="<f4")
    assert spec.fill(array, "100") == 8192
    assert device.read(memory, 8192, None) == expected(spec, 100, 8292)
    assert spec.compare(array, 100) == []
    assert set(streams) == {1}
    assert set(asked) == {5}
    damaged = bytearray(expected(spec, 100, 8292))
    for place in (7, 4000, 8191):
        damaged[place] ^= 1
    device.write(memory, bytes(damaged), None)
    how = {"limit": 1, "also_known": [9], "search_bytes": 1 << 16}
    found, same = spec.compare(array, 100, **how), spec.compare(damaged, 100, **how)
    assert (found[0].as_dict(), vars(found)) == (same[0].as_dict(), vars(same))
    assert found.range_count == 3
    # The stream that an array tells, unless one is given.
    streams.clear()
    spec.fill(OnDevice(memory, 10, stream=77))
    gpu.fill(spec, OnDevice(memory, 10, stream=77), stream=0)
    gpu.fill(spec, array, stream=(1 << 64) - 1)
    assert list(dict.fromkeys(streams)) == [77, 1, (1 << 64) - 1]
    # Nothing is on no device.
    asked.clear()
    assert spec.fill(OnDevice(0, 0), 1 << 20) == 0
    assert spec.compare(OnDevice(0, 0), 1 << 20) == []
    assert spec.compare(OnDevice(memory, 0, shape=(0, 5)), 0).range_count == 0
    assert asked == []
    read_only = OnDevice(memory, 8192, data=(memory, True))
    assert spec.compare(read_only, 8).range_count > 0
    turned = OnDevice(memory, 0, shape=(32, 64), strides=(1, 32))
    unsuitable = UnsuitableBufferError
    cases: list[tuple[Callable[[], Any], type[Exception], str]] = [
        (lambda: spec.fill(read_only), unsuitable, "array: it is read-only"),
        (lambda: spec.fill(turned), unsuitable, "array: its memory must be in one piece"),
        (lambda: spec.compare(turned), unsuitable, "array: its memory must be in one piece"),
        (lambda: spec.fill(OnDevice(64, 4)), TypeError, "array: its memory is not that of a GPU"),
        (lambda: spec.fill(array, (1 << 20) - 8191), ValueError, "offset: 8192 bytes from 10403"),
        (lambda: spec.compare(array, 1 << 20), ValueError, "offset: 8192 bytes from 10485"),
        (lambda: spec.compare(array, limit=0), ValueError, "limit: '0' is not accepted"),
        (lambda: spec.fill(array, -1), ValueError, "offset: '-1' is not accepted"),
        (lambda: gpu.fill(spec, array, stream=-1), ValueError, "stream: -1 is not the address"),
        (lambda: gpu.fill(spec, array, stream=1 << 64), ValueError, "stream: 184467440737095516"),
        (lambda: gpu.fill(spec, array, stream="x"), TypeError, "stream: a stream or the address"),
        (lambda: gpu.fill(spec, bytearray(4)), TypeError, "array: an array on a GPU is needed"),
    ]
    before = device.read(memory, 8192, None)
    for call, kind, message in cases:
        with pytest.raises(kind, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)
    assert device.read(memory, 8192, None) == before


def test_all_is_wrong(host: Host) -> None:
    """Of another seed: one range, all of it."""
    spec, other = DataSpec(1 << 20, 1), DataSpec(1 << 20, 2)
    memory = host.reserve(1 << 20)
    host.write(memory, expected(other, 0, 1 << 20), None)
    known = (2).to_bytes(8, "little")
    damage = _work.compare(host, spec, memory, 0, 1 << 20, None, 5, known, 1 << 20)
    assert (damage[0].kind, damage[0].seed, damage.range_count) == ("stale", 2, 1)
    assert damage.range_bytes >= (1 << 20) - 2


def test_every_kernel_was_run(host: Host) -> None:
    """By the tests above."""
    assert len(kernels()) == 12
    assert set(kernels()) <= set(host.launched)


@pytest.mark.parametrize("verb", ["fill", "compare"])
def test_without_a_gpu_it_says_why(verb: str) -> None:
    """No package, no driver, no device; or none that has that memory."""
    with pytest.raises((gpu.GPUError, TypeError), match=r"^(gpu|array): "):
        getattr(DataSpec(1000, 1), verb)(OnDevice(4096, 16))


def kernels() -> list[str]:
    """Return the names of all kernels."""
    lines = SOURCE.read_text().splitlines()
    starts = ("WARP_KERNEL(", "THREAD_KERNEL(", "CHAIN_KERNEL(")
    names = [line.split("(")[1].split(",")[0] for line in lines if line.startswith(starts)]
    return [name for name in names if name != "KERNEL"]


@pytest.mark.parametrize("capability", cases([(9, 0)], [((7, 5),), ((12, 1),), ((99, 0),)]))
def test_the_compiler_of_the_vendor_takes_the_source(capability: tuple[int, int]) -> None:
    """It needs no device: as machine code for those that it knows, else for the driver."""
    pytest.importorskip("cuda.bindings.nvrtc", reason="left out: cuda-bindings is not installed")
    try:
        few = _device.compiled(None, capability)
    except gpu.GPUError as error:
        if "is not installed" not in str(error):
            raise
        pytest.skip("left out: the compiler NVRTC is not installed")
    codes = {name: few for name in kernels() if name.startswith(("table_", "blocks", "parts"))}
    for name in kernels():
        code = codes.get(name) or _device.compiled(name, capability)
        assert name.encode() in code
        assert code.startswith(b"\x7fELF") == (capability != (99, 0))


def test_nothing_else_needs_the_module(tmp_path: Path) -> None:
    """Not the package, and not arrays on the host."""
    program = """
import sys
import numpy
from dgen_mpi import DataSpec

spec = DataSpec(1000, 1)
for buffer in (bytearray(1000), numpy.zeros(1000, numpy.uint8)):
    spec.fill(buffer)
    assert spec.compare(buffer) == []
assert "dgen_mpi.gpu" not in sys.modules and "cuda" not in sys.modules
"""
    # Elsewhere, so that it is the installed package.
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, cwd=tmp_path)


def test_parts_are_compared_as_the_whole() -> None:
    """What the host does with what a device has found; parts that make no sense are refused."""
    spec = DataSpec(1 << 20, 1, dedup_unit=4096)
    found = bytearray(expected(spec, 0, 1 << 20))
    found[5000:5600] = bytes(600)

    def compared(*parts: int, offset: int = 0, count: int = 1 << 20, short: int = 0) -> Any:
        words = b"".join(part.to_bytes(8, "little") for part in parts)
        read = lambda start, count: found[start : start + count - short]  # noqa: E731
        return spec._source.compare_parts(read, offset, count, words, 10, b"", 0)

    assert compared(4096, 4096) == spec._source.compare(found, 0, 10, b"", 0)
    assert compared(4096, 1000, 5096, 1000) == compared(4096, 4096)
    assert compared()[1] == 0
    for parts in ((4096, 4096, 4096, 1), (0, (1 << 20) + 1), (1 << 63, 1), (5, 1 << 63)):
        with pytest.raises(ValueError, match="parts: ascending, and within the range"):
            compared(*parts)
    with pytest.raises(ValueError, match="read: all bytes of a part"):
        compared(4096, 4096, short=1)
    with pytest.raises(ValueError, match="go past the end"):
        compared(offset=1)
