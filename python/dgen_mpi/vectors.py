# SPDX-License-Identifier: MIT OR Apache-2.0
"""Arrays of float32 numbers, under the names of dgen-py 0.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex

from dgen_mpi import _native
from dgen_mpi._arguments import count_of, refusal, seed_of, threads_of
from dgen_mpi._native import BytesView

if TYPE_CHECKING:
    from dgen_mpi._arguments import BufferLike

# Formats of the buffer protocol: float32 in the machine's own order, and bytes.
_FORMATS = ("f", "=f", "<f", "@f", "B", "b", "c")


def generate_uniform(
    count: SupportsIndex,
    low: float = 0.0,
    high: float = 1.0,
    max_threads: SupportsIndex | None = None,
    numa_mode: str = "auto",
    seed: SupportsIndex | None = None,
) -> BytesView:
    """Return float32 numbers that are evenly spread over ``[low, high)``.

    They are ``4 * count`` bytes, for ``numpy.frombuffer(..., dtype=numpy.float32)``, which copies
    nothing. Number `i` is a function of seed, bounds and `i` alone: the words of 32 bits of the
    seed's stream, the upper 24 bits of each divided by 2**24 and brought to the range in float32. A
    value that is not accepted raises ValueError.

    Parameters
    ----------
    count
        How many numbers, not bytes.
    low, high
        Finite numbers, `low` below `high`, no further apart than float32 can hold.
    max_threads, numa_mode, seed
        As in `dgen_mpi.DataSpec`.
    """
    view = _native.allocate(4 * count_of(count, "count"))
    if not low < high:
        raise refusal("low, high", f"{low}, {high}", "two numbers, low below high")
    _native.uniform(view, seed_of(seed), low, high, *threads_of(max_threads, numa_mode))
    return view


def normalize_rows(
    buffer: BufferLike, dim: SupportsIndex, max_threads: SupportsIndex | None = None
) -> None:
    """Divide every row of `dim` float32 numbers, 1 at least, by its length, in place.

    The buffer is one as `dgen_mpi.DataSpec.fill` takes, of such numbers or bytes that are such, in
    whole rows; ValueError is raised for others. A row of zeros stays as it is.
    """
    _native.length(buffer)
    view: memoryview = memoryview(buffer)  # type: ignore[arg-type]  # arrays are buffers
    if view.format not in _FORMATS:
        numbers = f"numbers of format '{view.format}'"
        raise ValueError(f"buffer: {numbers} are not accepted; give float32")
    rows = count_of(dim, "dim", least=1)
    _native.normalize_rows(buffer, rows, *threads_of(max_threads))


def generate_uniform_vectors(
    rows: SupportsIndex,
    dim: SupportsIndex,
    low: float = 0.0,
    high: float = 1.0,
    normalize: bool = True,
    max_threads: SupportsIndex | None = None,
    numa_mode: str = "auto",
    seed: SupportsIndex | None = None,
) -> BytesView:
    """Return rows of `dim` float32 numbers, 1 at least, evenly spread over ``[low, high)``.

    They are ``4 * rows * dim`` bytes in C order, for ``numpy.frombuffer(...).reshape(rows, dim)``;
    each row is divided by its length, as `normalize_rows` does, unless `normalize` is false. All
    else is as in `generate_uniform`.
    """
    dimension = count_of(dim, "dim", least=1)
    view = generate_uniform(
        count_of(rows, "rows") * dimension, low, high, max_threads, numa_mode, seed
    )
    if normalize:
        _native.normalize_rows(view, dimension, *threads_of(max_threads, numa_mode))
    return view
