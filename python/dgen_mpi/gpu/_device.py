# SPDX-License-Identifier: MIT OR Apache-2.0
"""CUDA devices: the kernels compiled for them, launches, and memory for these.

`cuda-bindings` is the driver's own interface and NVRTC's: unlike `cuda-core` it takes a struct as
the argument of a kernel, and its names are those of the driver, which stay.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from dgen_mpi.gpu._plan import Call
from dgen_mpi.gpu._work import LANES, Cache, GPUError

SOURCE = Path(__file__).with_name("kernels.cu")

WARPS = 4
"""In a block of threads of kernels that work in warps, as the source has it."""

THREADS = 64
"""In a block of threads of the others: there are few, and all processors should have some."""

HELPERS = 8
"""Threads for each chain of pieces, as the source has it."""

POOL_BYTES = 256 << 20
"""So much borrowed memory is kept for the next time."""

_INSTALL = "install dgen-mpi[gpu]"


@functools.cache
def bindings() -> tuple[Any, Any]:
    """Return the interfaces of driver and compiler."""
    try:
        driver = importlib.import_module("cuda.bindings.driver")
        compiler = importlib.import_module("cuda.bindings.nvrtc")
    except ImportError as error:
        raise GPUError(
            f"gpu: the package cuda-bindings is not installed ({_line(error)}); {_INSTALL}"
        ) from None
    return driver, compiler


def _name_of(status: object) -> str:
    return getattr(status, "name", str(status))


def _line(error: Exception) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error).split())


def ask(function: str, *arguments: object) -> Any:  # noqa: ANN401 - as the driver has it
    """Call a function of the driver; raise what it refuses. The result is None, one or a tuple."""
    driver, _ = bindings()
    try:
        status, *found = getattr(driver, function)(*arguments)
    except RuntimeError as error:
        # Where there is no libcuda.so.1, or an old one.
        raise GPUError(
            f"gpu: there is no driver for NVIDIA GPUs that has {function} ({_line(error)})"
        ) from None
    if int(status) != 0:
        refused = GPUError(f"gpu: {function} failed: {_name_of(status)}")
        refused.status = _name_of(status)
        raise refused
    return found[0] if len(found) == 1 else tuple(found) or None


@functools.cache
def _start() -> None:
    try:
        ask("cuInit", 0)
        count = ask("cuDeviceGetCount")
    except GPUError as error:
        raise GPUError(f"gpu: no GPU can be used here: {str(error)[5:]}") from None
    if count == 0:
        raise GPUError("gpu: there is no GPU here")


_devices: dict[int, Device] = {}
_devices_lock = Lock()


def device(number: int) -> Device:
    """Return a device by the driver's number of it."""
    with _devices_lock:
        found = _devices.get(number)
        if found is None:
            _start()
            found = _devices[number] = Device(number)
        return found


_NO_MEMORY = ("CUDA_ERROR_INVALID_VALUE", "CUDA_ERROR_INVALID_CONTEXT", "CUDA_ERROR_INVALID_DEVICE")
"""What the driver says of an address that it knows nothing of."""


def device_of(address: int) -> int | None:
    """Return the number of the device whose memory an address is, None for memory of no device."""
    driver, _ = bindings()
    _start()

    def what(name: str) -> int:
        kind = getattr(driver.CUpointer_attribute, f"CU_POINTER_ATTRIBUTE_{name}")
        return int(ask("cuPointerGetAttribute", kind, address))

    kinds = driver.CUmemorytype
    known = (int(kinds.CU_MEMORYTYPE_DEVICE), int(kinds.CU_MEMORYTYPE_UNIFIED))
    try:
        # Managed memory may be said to be where it is just now.
        if what("MEMORY_TYPE") not in known and not what("IS_MANAGED"):
            return None
        return what("DEVICE_ORDINAL")
    except GPUError as error:
        # Of a device that has failed, or after a fork, nothing is known: that is no word on memory.
        if error.status not in _NO_MEMORY:
            raise
        return None


class Device:
    """A CUDA device, with its kernels."""

    def __init__(self, number: int) -> None:
        driver, _ = bindings()
        self.number = number
        handle = ask("cuDeviceGet", number)
        self.name = ask("cuDeviceGetName", 100, handle).split(b"\0")[0].decode()
        attributes = driver.CUdevice_attribute
        major, minor = (
            ask("cuDeviceGetAttribute", getattr(attributes, f"CU_DEVICE_ATTRIBUTE_{name}"), handle)
            for name in ("COMPUTE_CAPABILITY_MAJOR", "COMPUTE_CAPABILITY_MINOR")
        )
        self.capability = (major, minor)
        # The one that torch, CuPy, JAX and numba work in.
        self._context = ask("cuDevicePrimaryCtxRetain", handle)
        with self._current():
            self._pool = self._new_pool()
            self.own_stream = int(
                ask("cuStreamCreate", driver.CUstream_flags.CU_STREAM_NON_BLOCKING)
            )
        self._functions: dict[str, Any] = {}
        self._modules: dict[str | None, Any] = {}
        self._functions_lock = Lock()
        self.cache = Cache(self)

    def _new_pool(self) -> Any:  # noqa: ANN401
        """Return memory for what is borrowed: what is given back to it is at hand the next time."""
        driver, _ = bindings()
        wanted = driver.CUmemPoolProps()
        wanted.allocType = driver.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
        wanted.location.type = driver.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
        wanted.location.id = self.number
        pool = ask("cuMemPoolCreate", wanted)
        kept = driver.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
        ask("cuMemPoolSetAttribute", pool, kept, driver.cuuint64_t(POOL_BYTES))
        return pool

    @contextmanager
    def _current(self) -> Iterator[None]:
        ask("cuCtxPushCurrent", self._context)
        try:
            yield
        finally:
            ask("cuCtxPopCurrent")

    def _function(self, kernel: str, compiled_by: str | None) -> Any:  # noqa: ANN401
        with self._functions_lock:
            found = self._functions.get(kernel)
            if found is None:
                if compiled_by not in self._modules:
                    code = compiled(compiled_by, self.capability)
                    self._modules[compiled_by] = ask("cuModuleLoadData", code)
                found = ask("cuModuleGetFunction", self._modules[compiled_by], kernel.encode())
                self._functions[kernel] = found
            return found

    def launch(self, kernel: str, call: Call, count: int, stream: int) -> None:
        """Start a kernel with so many threads, or warps where it works in warps."""
        with self._current():
            works_in_warps = kernel.startswith(("fill_", "compare_"))
            function = self._function(kernel, kernel if works_in_warps else None)
            per_block = WARPS if works_in_warps else THREADS
            threads = WARPS * LANES if works_in_warps else THREADS
            if kernel in ("blocks", "parts"):
                count *= HELPERS
            # The struct is copied before the driver returns.
            arguments = (ctypes.c_void_p * 1)(ctypes.addressof(call))
            grid = (-(-count // per_block), 1, 1)
            shape = (*grid, threads, 1, 1)
            ask("cuLaunchKernel", function, *shape, 0, stream, ctypes.addressof(arguments), 0)

    def is_recording(self, stream: int) -> bool:
        """Tell whether a stream makes a graph of what is put into it."""
        with self._current():
            return int(ask("cuStreamIsCapturing", stream)) != 0

    def reserve(self, count: int) -> int:
        """Return the address of new memory."""
        with self._current():
            return int(ask("cuMemAlloc", count))

    def release(self, address: int) -> None:
        """Give memory back as soon as nothing works on it: the driver waits for that."""
        with self._current():
            ask("cuMemFree", address)

    def borrow(self, count: int, stream: int) -> int:
        """Return the address of new memory for what is done next in a stream."""
        with self._current():
            return int(ask("cuMemAllocFromPoolAsync", count, self._pool, stream))

    def give_back(self, address: int, stream: int) -> None:
        """Give that back, after what was done with it."""
        with self._current():
            ask("cuMemFreeAsync", address, stream)

    def write(self, address: int, data: bytes, stream: int) -> None:
        """Copy bytes to an address, and wait for that."""
        with self._current():
            ask("cuMemcpyHtoDAsync", address, data, len(data), stream)
            ask("cuStreamSynchronize", stream)

    def clear(self, address: int, count: int, stream: int) -> None:
        """Make bytes zeros."""
        with self._current():
            ask("cuMemsetD8Async", address, 0, count, stream)

    def read(self, address: int, count: int, stream: int) -> bytearray:
        """Return the bytes at an address, after what was done before."""
        found = bytearray(count)
        if count > 0:
            memory = ctypes.addressof((ctypes.c_char * count).from_buffer(found))
            with self._current():
                ask("cuMemcpyDtoHAsync", memory, address, count, stream)
                ask("cuStreamSynchronize", stream)
        return found


@functools.cache
def compiled(kernel: str | None, capability: tuple[int, int]) -> bytes:
    """Return a kernel that works in warps, or all that do not, as code for devices of a capability.

    It takes a third of a second or so, and is kept as long as the process. A file would save that
    to the next process, and would have to be guarded against others who write code into it.
    """
    _, compiler = bindings()

    def ask_compiler(function: str, *arguments: object) -> Any:  # noqa: ANN401
        try:
            status, *found = getattr(compiler, function)(*arguments)
        except RuntimeError as error:
            message = f"gpu: the compiler NVRTC is not installed ({_line(error)}); {_INSTALL}"
            raise GPUError(message) from None
        if int(status) != 0:
            raise GPUError(f"gpu: {function} failed: {_name_of(status)}")
        return found[0] if found else None

    def text_of(what: str) -> bytes:
        text: bytes = b" " * ask_compiler(f"nvrtcGet{what}Size", program)
        ask_compiler(f"nvrtcGet{what}", program, text)
        return text

    ask_compiler("nvrtcGetNumSupportedArchs")
    known = ask_compiler("nvrtcGetSupportedArchs")
    wanted = 10 * capability[0] + capability[1]
    if wanted < min(known):
        found, least = (f"{it // 10}.{it % 10}" for it in (wanted, min(known)))
        raise GPUError(
            f"gpu: a device of capability {found} is too old for this compiler NVRTC, which knows "
            f"{least} and later; one of an older CUDA may know it"
        )
    # For a device that is newer than the compiler, what the driver translates.
    is_known = wanted in known
    target = f"sm_{wanted}" if is_known else f"compute_{max(it for it in known if it <= wanted)}"
    options = [f"--gpu-architecture={target}", "--std=c++17"]
    if kernel is None:
        options.append("-DNO_WARP_KERNELS")
    else:
        verb, kind, place = kernel.split("_")
        options += [f"-DKERNEL={kernel}", f"-DIS_COMPARISON={int(verb == 'compare')}"]
        options += [f"-DIS_SHIFTED={int(place == 'shifted')}"]
        options += [f"-DHAS_GRAINS={int(kind == 'grains')}"]
    source = SOURCE.read_bytes()
    program = ask_compiler("nvrtcCreateProgram", source, SOURCE.name.encode(), 0, [], [])
    try:
        encoded = [option.encode() for option in options]
        ask_compiler("nvrtcCompileProgram", program, len(encoded), encoded)
        return text_of("CUBIN" if is_known else "PTX")
    except GPUError as error:
        log = text_of("ProgramLog").decode(errors="replace")
        raise GPUError(f"{error}; the kernels do not compile for {target}: {log}") from None
    finally:
        ask_compiler("nvrtcDestroyProgram", program)
