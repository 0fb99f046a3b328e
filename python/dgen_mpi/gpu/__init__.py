# SPDX-License-Identifier: MIT OR Apache-2.0
"""Data sets in the memory of NVIDIA GPUs: filled and compared where they are.

`DataSpec.fill` and `DataSpec.compare` come here by themselves for arrays of CuPy, torch, JAX and
numba, and for all others that have ``__cuda_array_interface__`` or DLPack and lie in device memory.
Nothing else of the package needs this module, which needs ``dgen-mpi[gpu]`` and the driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsIndex

from dgen_mpi._arguments import SEARCH_BYTES, SizeLike, count_of, seed_of, size_of
from dgen_mpi.damage import DamagedRanges
from dgen_mpi.gpu import _arrays, _device, _work
from dgen_mpi.gpu._work import GPUError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dgen_mpi._arguments import DeviceArray
    from dgen_mpi.spec import DataSpec

__all__ = ["GPUError", "compare", "fill"]


def fill(
    spec: DataSpec,
    array: DeviceArray,
    offset: SizeLike = 0,
    *,
    stream: Any = None,  # noqa: ANN401 - of any library
) -> int:
    """Fill an array on a GPU with the bytes from an offset on, and return its length in bytes.

    The work is put into a stream; what comes after it in that stream has the bytes. Nothing is
    copied from the host but, for a data set that the device has not had before, 40 KiB or so.

    Parameters
    ----------
    spec
        The data set.
    array
        Device memory in one piece (C order), that may be written.
    offset
        In bytes. Array and offset lie within the data set.
    stream
        A stream of CuPy, torch, numba or cuda-core, or the address of one, on the array's device.
        If it is not given, the one in which the array's library works now: torch's and CuPy's
        current stream, the one that the array tells, or the default stream.

    Raises
    ------
    UnsuitableBufferError
        For memory that is read-only or not in one piece, and for JAX's arrays, which do not change.
    TypeError
        For what is no array on a GPU.
    ValueError
        For a range outside the data set, and a number that is no stream.
    GPUError
        Where there is no GPU, no driver, or no package for it, or the device fails. A RuntimeError.
    """
    start = size_of(offset, "offset")
    with _arrays.memory_of(array, stream, is_written=True) as memory:
        _require_range(spec, start, memory.length)
        if memory.length == 0:
            # It is on no device that would be known.
            return 0
        machine = _device.device(memory.device)
        _work.fill(machine, spec, memory.address, start, memory.length, memory.stream)
        return memory.length


def compare(
    spec: DataSpec,
    array: DeviceArray,
    offset: SizeLike = 0,
    *,
    limit: SupportsIndex = 1000,
    also_known: Iterable[SupportsIndex] = (),
    search_bytes: SizeLike = SEARCH_BYTES,
    stream: Any = None,  # noqa: ANN401 - of any library
) -> DamagedRanges:
    """Compare an array on a GPU with the bytes from an offset on.

    Waits for the stream. Where all is right, one byte is copied to the host. What is wrong is
    copied there, 4 KiB at the least, and looked at as `DataSpec.compare` does: what it finds is the
    same.

    Parameters
    ----------
    spec, array, offset, stream
        As in `fill`, which tells what is raised, but the memory may be read-only, and JAX's. That
        the device has found something wrong, and the copy of it is right, is a `GPUError` too.
    limit, also_known, search_bytes
        As in `DataSpec.compare`.
    """
    known = b"".join(seed_of(seed).to_bytes(8, "little") for seed in also_known)
    start, most = size_of(offset, "offset"), count_of(limit, "limit", least=1)
    reach = size_of(search_bytes, "search_bytes")
    with _arrays.memory_of(array, stream, is_written=False) as memory:
        _require_range(spec, start, memory.length)
        if memory.length == 0:
            return DamagedRanges([], 0, 0, 0)
        machine = _device.device(memory.device)
        place = (memory.address, start, memory.length, memory.stream)
        return _work.compare(machine, spec, *place, most, known, reach)


def _require_range(spec: DataSpec, offset: int, count: int) -> None:
    if offset > spec.size or count > spec.size - offset:
        raise ValueError(
            f"offset: {count} bytes from {offset} on go past the end of the data set; "
            f"it has {spec.size} bytes"
        )
