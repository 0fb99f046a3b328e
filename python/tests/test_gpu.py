# SPDX-License-Identifier: MIT OR Apache-2.0
"""Data sets in the memory of a GPU, where there is one: `pytest tests/test_gpu.py`."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import ROOT, chance
from specifications import VECTORS_1, VECTORS_2, fields_of
from test_gpu_source import random_range, random_spec

from dgen_mpi import DataSpec, UnsuitableBufferError, gpu
from dgen_mpi.gpu import _device, _work


def why_none() -> str:
    """Return why there is no GPU here, or nothing."""
    try:
        _device.device(0)
    except gpu.GPUError as error:
        return str(error)
    return ""


if NONE := why_none():
    pytest.skip(f"left out: it needs a GPU ({NONE})", allow_module_level=True)

# Warnings of libraries that are not this one.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def library(name: str) -> Any:
    """Return a library that this machine may have or not."""
    return pytest.importorskip(name, reason=f"left out: {name} is not here")


class Interface:
    """An array with nothing but the one protocol."""

    def __init__(self, array: Any, **more: Any) -> None:
        self.array = array
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, **more}


class Capsules:
    """An array with nothing but DLPack."""

    def __init__(self, array: Any, *, is_old: bool = False) -> None:
        self.array = array
        self.is_old = is_old

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return where it is."""
        kind, number = self.array.__dlpack_device__()
        return int(kind), number

    def __dlpack__(self, **how: Any) -> Any:
        """Return it."""
        if self.is_old and "max_version" in how:
            raise TypeError("max_version")
        return self.array.__dlpack__(**how)


class Kind(NamedTuple):
    """A kind of array."""

    new: Callable[[Any], Any]
    """From bytes as numpy has them."""
    content: Callable[[Any], bytes]


def kind_of(name: str) -> Kind:
    """Return how arrays of a kind are made and read."""
    if name == "cupy":
        cupy = library("cupy")
        return Kind(cupy.asarray, lambda array: cupy.asnumpy(array).tobytes())
    if name == "numba":
        cuda = importlib.import_module("numba.cuda") if library("numba") else None
        return Kind(cuda.to_device, lambda array: array.copy_to_host().tobytes())
    if name == "jax":
        jax = library("jax")
        return Kind(jax.device_put, lambda array: np.asarray(array).tobytes())
    torch = library("torch")

    def new(data: Any) -> Any:
        return torch.from_numpy(data.copy()).cuda()

    def content(array: Any) -> bytes:
        return bytes(array.cpu().contiguous().view(torch.uint8).numpy().tobytes())

    wrap: dict[str, Callable[[Any], Any]] = {
        "torch": lambda array: array,
        "torch bfloat16": lambda array: array.view(torch.bfloat16),
        "interface": Interface,
        "DLPack": Capsules,
        "DLPack before 1.0": lambda array: Capsules(array, is_old=True),
    }
    return Kind(
        lambda data: wrap[name](new(data)), lambda array: content(getattr(array, "array", array))
    )


KINDS = ["cupy", "numba", "torch", "torch bfloat16", "interface", "DLPack", "DLPack before 1.0"]


def expected(spec: DataSpec, start: int, count: int) -> Any:
    """Return a range as the CPU makes it."""
    buffer = np.zeros(count, np.uint8)
    spec.fill(buffer, start)
    return buffer


@pytest.mark.parametrize("name", KINDS)
def test_arrays_are_filled_and_compared(name: str) -> None:
    """Of every library, by the methods of the specification."""
    kind = kind_of(name)
    spec = DataSpec(1 << 30, 5, copies={2: 0.3}, zeros=0.05, compress_mix="1:50%,2.5:50%")
    wanted = expected(spec, 1_000_000, 3_000_000)
    array = kind.new(np.full(3_000_000, 0xA5, np.uint8))
    assert spec.fill(array, 1_000_000) == 3_000_000
    assert kind.content(array) == wanted.tobytes()
    assert spec.compare(array, 1_000_000) == []
    wanted[1_234_567] ^= 16
    (damage,) = spec.compare(kind.new(wanted), 1_000_000)
    assert (damage.offset, damage.kind) == (2_234_567, "bit_flips")


@pytest.mark.parametrize("dtype", ["uint8", "bfloat16", "float32"])
def test_arrays_of_jax_are_compared(dtype: str) -> None:
    """They do not change, so that they are not filled."""
    library("jax")
    jax = importlib.import_module("jax.numpy")
    spec = DataSpec(1 << 20, 5, compress_ratio=2)
    data = expected(spec, 4096, 400_000)
    array = jax.asarray(data).view(dtype)
    assert spec.compare(array, 4096) == []
    data[77] += 1
    (damage,) = spec.compare(jax.asarray(data).view(dtype), 4096)
    assert damage.offset == 4096 + 77
    with pytest.raises(UnsuitableBufferError, match="JAX's arrays do not change"):
        spec.fill(array)


@pytest.mark.parametrize("vector", VECTORS_1["data_sets"])
def test_equals_the_vector_of_version_1(vector: dict[str, Any]) -> None:
    """Every reference data set."""
    kind = kind_of("torch")
    spec = DataSpec(**vector["spec"])
    array = kind.new(np.zeros(spec.size, np.uint8))
    spec.fill(array)
    assert hashlib.sha256(kind.content(array)).hexdigest() == vector["sha256"]


@pytest.mark.parametrize("vector", VECTORS_2["sets"])
def test_equals_the_vector_of_version_2(vector: dict[str, Any]) -> None:
    """Every reference data set."""
    kind = kind_of("torch")
    spec = DataSpec(**fields_of(vector["spec"]))
    array = kind.new(np.zeros(spec.size, np.uint8))
    spec.fill(array)
    assert hashlib.sha256(kind.content(array)).hexdigest() == vector["sha256"]


def test_the_largest_data_sets_equal_the_vectors() -> None:
    """Any place of data sets of 2**63 - 1 bytes."""
    kind = kind_of("torch")
    first, second = VECTORS_1["huge"], VECTORS_2["huge"]
    samples = [
        (DataSpec(**first["spec"]), it["offset"], bytes.fromhex(it["hex"]))
        for it in first["samples"]
    ]
    spec = DataSpec(**fields_of(second["spec"]))
    for block in second["blocks"]:
        start = int(block["block"]) * spec.dedup_unit
        samples.append((spec, start, bytes.fromhex(block["first_16"])))
    for spec, start, wanted in samples:
        array = kind.new(np.zeros(len(wanted), np.uint8))
        spec.fill(array, start)
        assert kind.content(array) == wanted


def test_any_specification_equals_the_cpu() -> None:
    """A thousand, any range, at any address; and damage to it."""
    torch = library("torch")
    numbers = chance()
    memory = torch.empty((1 << 20) + 64, dtype=torch.uint8, device="cuda")
    for number in range(1000):
        spec = random_spec(numbers)
        start, stop = random_range(numbers, spec)
        shift = numbers.choice([0, 0, 4, 8, 16, 1, 7, start % 16])
        case = f"case {number}: {spec!r}, {start} to {stop} at {shift}"
        wanted = expected(spec, start, stop - start)
        memory.fill_(0xA5)
        part = memory[shift : shift + stop - start]
        spec.fill(part, start)
        found = memory.cpu().numpy()
        assert (found[shift : shift + stop - start] == wanted).all(), case
        assert (found[:shift] == 0xA5).all(), case
        assert (found[shift + stop - start :] == 0xA5).all(), case
        assert spec.compare(part, start) == [], case
        for _ in range(numbers.randrange(1, 5)):
            place = numbers.randrange(len(wanted))
            end = min(len(wanted), place + numbers.choice([1, 1, 8, 700, 5000]))
            if numbers.random() < 0.5:
                wanted[place:end] = 0
            else:
                wanted[place] ^= 1 << numbers.randrange(8)
        part.copy_(torch.from_numpy(wanted))
        damage = spec.compare(part, start, search_bytes=1 << 20)
        same = spec.compare(wanted, start, search_bytes=1 << 20)
        assert [each.as_dict() for each in damage] == [each.as_dict() for each in same], case
        assert vars(damage) == vars(same), case


@pytest.mark.parametrize("fields", [{}, {"copies": {3: 0.4}}, {"compress_ratio": 2}])
def test_a_gigabyte_is_right(fields: dict[str, Any]) -> None:
    """As the CPU compares it, and the GPU."""
    torch = library("torch")
    spec = DataSpec(1 << 40, 9, **fields)
    array = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    for offset in (0, 123_456_789_012):
        spec.fill(array, offset)
        assert spec.compare(array.cpu().numpy(), offset) == []
        assert spec.compare(array, offset) == []
        array[987_654_321] ^= 1
        (damage,) = spec.compare(array, offset)
        assert damage.offset == offset + 987_654_321


def test_work_goes_into_the_stream_of_the_caller() -> None:
    """After what is in it, and before what comes next; others are not waited for."""
    torch = library("torch")
    spec = DataSpec(1 << 30, 1)
    array = torch.empty(1 << 26, dtype=torch.uint8, device="cuda")
    spec.fill(array)
    stream, other = torch.cuda.Stream(), torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(500_000_000)
        array.zero_()
        spec.fill(array, 12)
        copy = array.clone()
        assert not stream.query()
        quick = torch.empty(4096, dtype=torch.uint8, device="cuda")
        gpu.fill(spec, quick, stream=other)
        other.synchronize()
        assert not stream.query()
        assert gpu.compare(spec, quick, stream=other) == []
        assert not stream.query()
    stream.synchronize()
    assert spec.compare(copy, 12) == []


@pytest.mark.parametrize("name", ["torch", "cupy", "address", "numba", "none"])
def test_streams_of_any_library_are_taken(name: str) -> None:
    """And addresses of such."""
    torch = library("torch")
    made: dict[str, Callable[[], Any]] = {
        "torch": torch.cuda.Stream,
        "cupy": lambda: library("cupy").cuda.Stream(non_blocking=True),
        "address": lambda: torch.cuda.Stream().cuda_stream,
        "numba": lambda: importlib.import_module("numba.cuda").stream(),
        "none": lambda: 0,
    }
    stream = made[name]()
    spec = DataSpec(1 << 20, 3)
    array = torch.empty(1 << 20, dtype=torch.uint8, device="cuda")
    torch.cuda.synchronize()
    gpu.fill(spec, array, stream=stream)
    assert gpu.compare(spec, array, stream=stream) == []


def test_a_graph_fills() -> None:
    """Once the data set is known to the device, nothing but work is put into the stream."""
    torch = library("torch")
    spec = DataSpec(1 << 30, 3)
    array = torch.empty(1 << 24, dtype=torch.uint8, device="cuda")
    spec.fill(array)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        spec.fill(array)
    # What the graph has the address of is not given back for others.
    other = torch.empty(1000, dtype=torch.uint8, device="cuda")
    for seed in range(2 * _work.PLANS_MAX):
        DataSpec(1000, seed).fill(other)
    array.zero_()
    graph.replay()
    assert spec.compare(array) == []


def test_managed_memory_is_filled() -> None:
    """Wherever it is just now."""
    cupy = library("cupy")
    with cupy.cuda.using_allocator(cupy.cuda.malloc_managed):
        array = cupy.zeros(1 << 20, cupy.uint8)
    spec = DataSpec(1 << 30, 3)
    spec.fill(array, 4096)
    assert spec.compare(array, 4096) == []
    assert cupy.asnumpy(array).tobytes() == expected(spec, 4096, 1 << 20).tobytes()


def test_threads_share_a_device() -> None:
    """Each with data sets of its own."""
    torch = library("torch")
    wrong = []

    def work(number: int) -> None:
        array = torch.empty(1 << 22, dtype=torch.uint8, device="cuda")
        for seed in range(50):
            spec = DataSpec(1 << 30, 100 * number + seed, compress_ratio=1 + number)
            with torch.cuda.stream(torch.cuda.Stream()):
                spec.fill(array, 1000)
                wrong.extend(spec.compare(array, 1000))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_is_not_suitable_is_refused() -> None:
    """Each in one line that says why."""
    torch = library("torch")
    spec = DataSpec(1 << 20, 3)
    array = torch.zeros(1024, dtype=torch.uint8, device="cuda")
    read_only = Interface(array, data=(array.data_ptr(), True))
    assert spec.compare(read_only).range_count == 1
    cases: list[tuple[Callable[[], Any], type[Exception], str]] = [
        (lambda: spec.fill(read_only), UnsuitableBufferError, "read-only"),
        (lambda: spec.fill(array.view(32, 32).T), UnsuitableBufferError, "in one piece"),
        (lambda: spec.compare(array[::2]), UnsuitableBufferError, "in one piece"),
        (lambda: spec.fill(array, 1 << 20), ValueError, "1024 bytes from 1048576 on go past"),
        (lambda: spec.fill(array, -1), ValueError, "offset: '-1' is not accepted"),
        (lambda: gpu.fill(spec, array.cpu()), TypeError, "a torch tensor on a GPU is needed"),
        (lambda: gpu.fill(spec, bytearray(4)), TypeError, "an array on a GPU is needed"),
        (lambda: gpu.fill(spec, np.zeros(4)), TypeError, "not that of a GPU"),
        (lambda: gpu.fill(spec, array, stream="x"), TypeError, "stream: a stream or the address"),
        (
            lambda: spec.fill(Interface(array, data=(4096, False))),
            TypeError,
            "not that of a GPU which can be used here",
        ),
    ]
    for call, kind, message in cases:
        with pytest.raises(kind, match=message):
            call()
    assert spec.fill(array[:0], 1 << 20) == 0
    assert spec.compare(array[:0], 1 << 20) == []
    assert spec.fill(array.view(32, 32)) == 1024
    assert spec.fill(torch.nn.Parameter(array.view(torch.float32))) == 1024
    derived = array.as_subclass(type("Derived", (torch.Tensor,), {}))
    assert spec.compare(derived) == []


SHORT = """
from dgen_mpi import DataSpec, gpu
from dgen_mpi.gpu import _device

class Array:
    def __init__(self, address, length):
        data = {"data": (address, False), "shape": (length,), "typestr": "|u1", "strides": None}
        self.__cuda_array_interface__ = {**data, "version": 3}

memory = _device.device(0).reserve(300_064)
for fields in (
    {}, {"dedup_ratio": 2, "dedup_unit": 4096}, {"compress_ratio": 2.5},
    {"copies": {2: 0.3}, "dedup_unit": 4096}, {"copies": {2: 0.3}, "dedup_unit": 65536},
    {"compress_mix": "1:50%,3:50%", "zeros": 0.1, "change": 0.1, "generation": 3},
):
    spec = DataSpec(1 << 40, 3, **fields)
    for shift in (0, 4, 1):
        array = Array(memory + shift, 300_001 - shift)
        gpu.fill(spec, array, 4096)
        assert gpu.compare(spec, array, 4096) == []
        assert gpu.compare(spec, array, 12_288) != []
print("done")
"""


@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "synccheck"])
def test_the_sanitizer_finds_nothing(tool: str) -> None:
    """No access outside of memory, no race, no barrier that some do not come to."""
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        pytest.skip("left out: there is no compute-sanitizer")
    command = [sanitizer, "--tool", tool, "--error-exitcode", "9", sys.executable, "-c", SHORT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if "Device not supported" in done.stdout:
        pytest.skip("left out: compute-sanitizer does not work here")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "done" in done.stdout
    assert re.search(r"ERROR SUMMARY: 0 errors|0 hazards displayed", done.stdout)


PAGE = Path(__file__).parents[1] / "docs" / "gpu.md"


def test_programs_of_the_page_run(tmp_path: Path) -> None:
    """As they stand."""
    if not PAGE.exists():
        pytest.skip("left out: the page is not here")
    blocks = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        done = subprocess.run(
            [sys.executable, "-c", block], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == re.findall(r"print\(.*\)  # (.*)", block)


@pytest.mark.parametrize("script", ["gpu_read.py", "gpu_write.py"])
def test_examples_run(script: str, tmp_path: Path) -> None:
    """Each with its own file."""
    examples = ROOT / "python" / "examples"
    size = ["--size", "10000001"] if script == "gpu_write.py" else []
    if script == "gpu_read.py":
        spec = DataSpec(10_000_001, 4, compress_ratio=2)
        (tmp_path / "data").write_bytes(expected(spec, 0, spec.size).tobytes())
        written = {"format": "dgen/1", "status": "complete", "spec": spec.as_dict()}
        text = json.dumps({**written, "created_by": "a test"})
        (tmp_path / "data.dgen.json").write_text(text)
    done = subprocess.run(
        [sys.executable, examples / script, "data", *size],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "10000001 bytes" in done.stdout
    if script == "gpu_write.py":
        found = (tmp_path / "data").read_bytes()
        assert DataSpec.from_manifest(tmp_path / "data").compare(found) == []
