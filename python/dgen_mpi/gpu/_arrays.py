# SPDX-License-Identifier: MIT OR Apache-2.0
"""Arrays of any library: where their memory is, and the stream that they are used in."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from dgen_mpi._native import UnsuitableBufferError
from dgen_mpi.gpu import _device

LEGACY_STREAM = 1
"""The default stream, which waits for others and they for it, by the number that protocols use."""

_LIBRARIES = ("torch", "cupy", "jax", "jaxlib")
"""Those of which more is known than the protocols tell."""

_CUDA = 2
_CUDA_MANAGED = 13
# In the flags of DLPack from 1.0 on.
_READ_ONLY = 1
_COPIED = 2


class Memory(NamedTuple):
    """Device memory in one piece."""

    address: int
    length: int
    device: int
    stream: int


class _Described(NamedTuple):
    """What an array says of itself."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    """In bytes."""
    item_bytes: int
    is_read_only: bool
    stream: int | None
    is_copied: bool = False
    """Whether this is memory that was made for whoever asked."""


@contextmanager
def memory_of(array: Any, stream: Any, *, is_written: bool) -> Iterator[Memory]:  # noqa: ANN401
    """Give the memory of an array, which it keeps so long, and the stream to use it in."""
    library = _library_of(array)
    if is_written and library in ("jax", "jaxlib"):
        raise UnsuitableBufferError(
            "array: JAX's arrays do not change; fill one of CuPy or torch and give it to "
            "jax.dlpack.from_dlpack"
        )
    if library == "torch" and not getattr(array, "is_cuda", True):
        raise TypeError("array: a torch tensor on a GPU is needed, and this one is not")
    wanted = _stream_of(stream) if stream is not None else _current_stream(library, array)
    described, keeper = _describe(array, library, LEGACY_STREAM if wanted is None else wanted)
    if wanted is None:
        wanted = LEGACY_STREAM if described.stream is None else described.stream
    if is_written and described.is_read_only:
        raise UnsuitableBufferError("array: it is read-only; one that is filled must be writable")
    if is_written and described.is_copied:
        raise UnsuitableBufferError("array: what DLPack has of it is a copy, which is not it")
    length = described.item_bytes
    for extent in described.shape:
        length *= extent
    if length > 0 and not _is_in_one_piece(described):
        raise UnsuitableBufferError("array: its memory must be in one piece (C order)")
    number = 0
    if length > 0:
        found = _device.device_of(described.address)
        if found is None:
            raise TypeError("array: its memory is not that of a GPU which can be used here")
        number = found
    else:
        _device._start()
    yield Memory(described.address, length, number, wanted)
    del keeper


def _library_of(array: object) -> str:
    """Return the library that an array is of, also one of a class derived from the library's."""
    names = (kind.__module__.split(".")[0] for kind in type(array).__mro__)
    return next((name for name in names if name in _LIBRARIES), "")


def _is_in_one_piece(array: _Described) -> bool:
    if array.strides is None:
        return True
    wanted = array.item_bytes
    for extent, stride in zip(reversed(array.shape), reversed(array.strides)):
        if extent > 1 and stride != wanted:
            return False
        wanted *= extent
    return True


def _stream_of(stream: Any) -> int:  # noqa: ANN401
    """Return the address of a stream of any library."""
    if isinstance(stream, int):
        if not 0 <= stream < 1 << 64:
            raise ValueError(f"stream: {stream} is not the address of a stream")
        return stream or LEGACY_STREAM
    protocol = getattr(stream, "__cuda_stream__", None)
    if protocol is not None:
        return int((protocol() if callable(protocol) else protocol)[1]) or LEGACY_STREAM
    for name in ("cuda_stream", "ptr", "handle"):
        found = getattr(stream, name, None)
        if found is not None:
            return int(getattr(found, "value", found) or 0) or LEGACY_STREAM
    raise TypeError(
        f"stream: a stream or the address of one is needed, not {type(stream).__name__}"
    )


def _current_stream(library: str, array: Any) -> int | None:  # noqa: ANN401
    """Return the stream in which a library works now, as far as that is known."""
    if library == "torch":
        return _stream_of(sys.modules["torch"].cuda.current_stream(array.device))
    if library == "cupy":
        with array.device:
            return _stream_of(sys.modules["cupy"].cuda.get_current_stream())
    return None


def _describe(array: Any, library: str, stream: int) -> tuple[_Described, object]:  # noqa: ANN401
    """Return what an array says of itself, and what keeps that true."""
    if library == "torch" and hasattr(array, "data_ptr"):
        # Types of numbers that the protocols do not have, and what a graph of gradients keeps.
        item = array.element_size()
        strides = tuple(step * item for step in array.stride())
        shape = tuple(array.shape)
        return _Described(array.data_ptr(), shape, strides, item, False, None), array
    try:
        interface = getattr(array, "__cuda_array_interface__", None)
    except Exception:
        # JAX has none for numbers that numpy does not know, and says so only then.
        interface = None
    if interface is not None:
        address, is_read_only = interface["data"]
        given = interface.get("stream")
        if library in ("jax", "jaxlib"):
            array.block_until_ready()
        item = int(interface["typestr"][2:])
        shape, strides = tuple(interface["shape"]), interface.get("strides")
        return _Described(address, shape, strides, item, is_read_only, given), array
    if hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__"):
        kind, _ = array.__dlpack_device__()
        if int(kind) not in (_CUDA, _CUDA_MANAGED):
            raise TypeError("array: its memory is not that of a GPU")
        return _from_dlpack(array, stream)
    raise TypeError(f"array: an array on a GPU is needed, not {type(array).__name__}")


# DLPack


class _DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("dimensions", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _DLVersioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _DLTensor),
    ]


def _from_dlpack(array: Any, stream: int) -> tuple[_Described, object]:  # noqa: ANN401
    """Return what an array says by DLPack; its capsule, never consumed, frees what it holds."""
    try:
        capsule = array.__dlpack__(stream=stream, max_version=(1, 0))
    except TypeError:
        capsule = array.__dlpack__(stream=stream)
    address_of, is_valid = ctypes.pythonapi.PyCapsule_GetPointer, ctypes.pythonapi.PyCapsule_IsValid
    address_of.restype, address_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    is_valid.argtypes = [ctypes.py_object, ctypes.c_char_p]
    flags = 0
    if is_valid(capsule, b"dltensor_versioned"):
        versioned = _DLVersioned.from_address(address_of(capsule, b"dltensor_versioned"))
        tensor, flags = versioned.tensor, versioned.flags
    else:
        tensor = _DLTensor.from_address(address_of(capsule, b"dltensor"))
    bits = tensor.bits * tensor.lanes
    if bits % 8:
        raise UnsuitableBufferError("array: its elements must be whole bytes")
    count = range(tensor.dimensions)
    shape = tuple(tensor.shape[index] for index in count)
    strides = None
    if tensor.strides:
        strides = tuple(tensor.strides[index] * (bits // 8) for index in count)
    address = (tensor.data or 0) + tensor.byte_offset
    is_read_only, is_copied = bool(flags & _READ_ONLY), bool(flags & _COPIED)
    described = _Described(address, shape, strides, bits // 8, is_read_only, None, is_copied)
    return described, capsule
