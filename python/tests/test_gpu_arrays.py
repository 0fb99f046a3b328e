# SPDX-License-Identifier: MIT OR Apache-2.0
"""What arrays, drivers and compilers say, and what is made of it: no GPU is needed."""

from __future__ import annotations

import ctypes
import enum
from types import SimpleNamespace
from typing import Any

import pytest

from dgen_mpi import UnsuitableBufferError, gpu
from dgen_mpi.gpu import _arrays, _device

CUDA = 2
READ_ONLY, COPIED = 1, 2
# What a capsule keeps of its name is the address.
NAMES = {True: b"dltensor", False: b"dltensor_versioned"}


class Capsules:
    """An array with nothing but DLPack."""

    def __init__(self, shape: tuple[int, ...], **fields: Any) -> None:
        self.is_old = fields.pop("is_old", False)
        self.flags = fields.pop("flags", 0)
        strides = fields.pop("strides", None)
        self.extents = (ctypes.c_int64 * len(shape))(*shape)
        self.steps = (ctypes.c_int64 * len(shape))(*strides or shape)
        self.asked: list[dict[str, Any]] = []
        found = {"data": 4096, "device_type": CUDA, "bits": 32, "lanes": 1, **fields}
        self.tensor = _arrays._DLTensor(dimensions=len(shape), shape=self.extents, **found)
        if strides is not None:
            self.tensor.strides = self.steps
        self.versioned = _arrays._DLVersioned(1, 0, None, None, self.flags, self.tensor)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return where it is."""
        return self.tensor.device_type, 0

    def __dlpack__(self, **how: Any) -> Any:
        """Return it."""
        self.asked.append(how)
        if self.is_old and "max_version" in how:
            raise TypeError("max_version")
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = (
            ctypes.py_object,
            [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p],
        )
        found = self.tensor if self.is_old else self.versioned
        return new(ctypes.addressof(found), NAMES[self.is_old], None)


def memory_of(array: Any, stream: Any = None, *, is_written: bool = True) -> _arrays.Memory:
    """Return the memory of an array."""
    with _arrays.memory_of(array, stream, is_written=is_written) as memory:
        return memory


@pytest.fixture
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all memory be that of a device."""
    monkeypatch.setattr(_device, "_start", lambda: None)
    monkeypatch.setattr(_device, "device_of", lambda address: 1)


@pytest.mark.usefixtures("_known")
@pytest.mark.parametrize("is_old", [False, True])
def test_what_dlpack_says_is_understood(is_old: bool) -> None:
    """Of 1.0 and from before: where it begins, how long it is, and the stream to work in."""
    array = Capsules((3, 5), byte_offset=64, is_old=is_old)
    assert memory_of(array) == (4096 + 64, 60, 1, 1)
    assert array.asked[-1]["stream"] == 1
    assert memory_of(array, 77) == (4096 + 64, 60, 1, 77)
    assert array.asked[-1]["stream"] == 77
    for strides in ((5, 1), (5, 1)):
        assert memory_of(Capsules((3, 5), strides=strides, is_old=is_old)).length == 60
    assert memory_of(Capsules((1, 5), strides=(99, 1), is_old=is_old)).length == 20
    assert memory_of(Capsules((2, 0), strides=(7, 7), data=None, is_old=is_old)).length == 0
    assert memory_of(Capsules((), bits=64, lanes=2, is_old=is_old)).length == 16
    for strides in ((1, 3), (10, 2), (-5, 1), (0, 1)):
        with pytest.raises(UnsuitableBufferError, match="array: its memory must be in one piece"):
            memory_of(Capsules((3, 5), strides=strides, is_old=is_old))
    with pytest.raises(UnsuitableBufferError, match="array: its elements must be whole bytes"):
        memory_of(Capsules((8,), bits=4, is_old=is_old))
    with pytest.raises(TypeError, match="array: its memory is not that of a GPU"):
        memory_of(Capsules((8,), device_type=1, is_old=is_old))


@pytest.mark.usefixtures("_known")
def test_what_would_not_be_filled_is_refused() -> None:
    """Memory that is read-only, and a copy, which would be filled instead of the array."""
    for flags, message in ((READ_ONLY, "it is read-only"), (COPIED, "is a copy, which is not it")):
        array = Capsules((8,), flags=flags)
        assert memory_of(array, is_written=False).length == 32
        with pytest.raises(UnsuitableBufferError, match=message):
            memory_of(array)


class Status(enum.IntEnum):
    """What the driver says."""

    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_NOT_INITIALIZED = 3
    CUDA_ERROR_ILLEGAL_ADDRESS = 700


HOST, DEVICE, ARRAY, UNIFIED = 1, 2, 3, 4


@pytest.mark.parametrize(
    ("status", "kind", "is_managed", "found"),
    [
        (0, DEVICE, False, 6),
        # Managed memory, wherever it is said to be.
        (0, UNIFIED, True, 6),
        (0, DEVICE, True, 6),
        (0, HOST, True, 6),
        (0, HOST, False, None),
        (0, ARRAY, False, None),
        # An address of which nobody knows.
        (1, None, None, None),
        # After a fork; and after a kernel that failed, which says nothing of this memory.
        (3, None, None, "gpu: cuPointerGetAttribute failed: CUDA_ERROR_NOT_INITIALIZED"),
        (700, None, None, "gpu: cuPointerGetAttribute failed: CUDA_ERROR_ILLEGAL_ADDRESS"),
    ],
)
def test_whose_memory_it_is(
    monkeypatch: pytest.MonkeyPatch, status: int, kind: int, is_managed: bool, found: Any
) -> None:
    """By what the driver says of an address."""
    values = {"MEMORY_TYPE": kind, "IS_MANAGED": is_managed, "DEVICE_ORDINAL": 6}
    driver = SimpleNamespace(
        CUpointer_attribute=SimpleNamespace(
            **{f"CU_POINTER_ATTRIBUTE_{name}": name for name in values}
        ),
        CUmemorytype=SimpleNamespace(CU_MEMORYTYPE_DEVICE=DEVICE, CU_MEMORYTYPE_UNIFIED=UNIFIED),
        cuPointerGetAttribute=lambda name, address: (Status(status), values[name]),
    )
    monkeypatch.setattr(_device, "bindings", lambda: (driver, None))
    monkeypatch.setattr(_device, "_start", lambda: None)
    if isinstance(found, str):
        with pytest.raises(gpu.GPUError) as raised:
            _device.device_of(4096)
        assert str(raised.value) == found
    else:
        assert _device.device_of(4096) == found


def refusal_of(monkeypatch: pytest.MonkeyPatch, compiler: Any, capability: tuple[int, int]) -> str:
    """Return what is said where a compiler does not do."""
    monkeypatch.setattr(_device, "bindings", lambda: (None, compiler))
    with pytest.raises(gpu.GPUError) as raised:
        _device.compiled.__wrapped__(None, capability)
    return str(raised.value)


def test_a_device_that_the_compiler_does_not_know_any_more_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And from which on it knows them."""
    compiler = SimpleNamespace(
        nvrtcGetNumSupportedArchs=lambda: (0, 3),
        nvrtcGetSupportedArchs=lambda: (0, [75, 80, 120]),
    )
    assert refusal_of(monkeypatch, compiler, (6, 1)) == (
        "gpu: a device of capability 6.1 is too old for this compiler NVRTC, which knows 7.5 and "
        "later; one of an older CUDA may know it"
    )


def test_what_is_not_installed_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever cuda-bindings says of it."""

    def absent(*_: Any) -> Any:
        raise RuntimeError('Failure finding "x":\n  No such file: x\n  No such file: y\n')

    shown = refusal_of(monkeypatch, SimpleNamespace(nvrtcGetNumSupportedArchs=absent), (9, 0))
    assert shown == (
        'gpu: the compiler NVRTC is not installed (Failure finding "x": No such file: x No such '
        "file: y); install dgen-mpi[gpu]"
    )
    monkeypatch.setattr(_device, "bindings", lambda: (SimpleNamespace(cuInit=absent), None))
    with pytest.raises(gpu.GPUError, match=r"^gpu: there is no driver .* has cuInit \([^\n]*\)$"):
        _device.ask("cuInit", 0)
