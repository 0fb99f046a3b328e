# SPDX-License-Identifier: MIT OR Apache-2.0
"""Data sets with random access: the bytes that `mpirun dgen-mpi` writes, in memory."""

from __future__ import annotations

import functools
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

from dgen_mpi import _native, manifest
from dgen_mpi._arguments import (
    DEDUP_UNIT,
    DEFAULT_ALIGN,
    SEARCH_BYTES,
    ClassesLike,
    RatioLike,
    ShareLike,
    SizeLike,
    composition_of,
    count_of,
    dealing_of,
    ratios_of,
    refusal,
    seed_of,
    shape_of,
    share_of,
    size_of,
    threads_of,
)
from dgen_mpi.checksum import ALGORITHM, Checksum, PartChecksums
from dgen_mpi.damage import DamagedRanges

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import TypeIs

    from dgen_mpi._arguments import ArrayLike, DeviceArray

WHOLE_BUFFER = -1
"""For the extension: as many bytes as the buffer has."""


_FIELDS = (
    *("size", "seed", "dedup_ratio", "compress_ratio", "dedup_unit", "compress_unit", "fill"),
    *("copies", "zeros", "compress_mix", "run", "change", "generation"),
)


@dataclass(frozen=True, init=False, eq=False, repr=False)
class DataSpec:
    """A data set: every byte is a function of these values and of its offset alone.

    Opening one takes some microseconds and constant memory, whatever its size. Threads may share
    one: they take turns. It works in processes that are forked, and can be pickled. A value that is
    not legal raises ValueError, which names field, value and what is accepted.

    The second parameter is the seed, where that of `Generator` is dgen-py's `dedup_ratio`.

    Parameters
    ----------
    size
        Length in bytes, 0 to 2**63 - 1, or a text such as ``"1.5GiB"``, as the program takes it. So
        are all sizes and offsets of this package.
    seed
        0 to 2**64 - 1; drawn at random if it is not given.
    dedup_ratio
        Logical blocks per distinct block: 1 to 1000000, at most 3 decimals (`Generator` rounds
        others). 1 if it is not given; not together with `copies`.
    compress_ratio
        Bytes per compressed byte: 1 up to what the grain holds (64 for 1024 bytes), at most 3
        decimals. 1 if it is not given; not together with `compress_mix`.
    dedup_unit
        The block, in bytes: a multiple of 512 up to 1 GiB.
    compress_unit
        The grain, in bytes: a multiple of 64, 512 to 65536, that divides `dedup_unit`. 1024 if it
        is not given, or 512 where 1024 does not divide `dedup_unit`.
    fill
        What the compressible part of a grain is: ``"backref"`` or ``"zeros"``.
    copies
        Contents that several blocks hold: how many copies, 2 to 2**40, and the share of all blocks
        that such contents have. What is left is there once. At most 32 classes. With any of this
        parameter and those down to `generation` the data set is one of version 2 (``dgen/2``),
        whose blocks are scattered over it.

        Classes are pairs in a list or a mapping, ``{2: 0.2927, 3: 0.0195}``, or texts as on the
        command line, ``"2:29.27%,3:1.95%"``, in one or in a list. Shares are parts of one with at
        most 6 decimals, or texts in per cent with at most 4. Nothing is rounded.
    zeros
        The share of the blocks that are zeros.
    compress_mix
        Contents that compress differently: classes of a compress ratio and the share of the
        contents that have it. At most 32, whose shares are 1 together.
    run
        Blocks that stay neighbours when blocks are scattered: 1 to 2**40, 1 if it is not given.
    change
        What changes from one generation to the next: classes of a share of the contents and the
        part of these that changes, such as ``{0.1: 0.15, 0.9: 0.005}``; or the part of all
        contents, such as ``0.02``. At most 8; what is in none of them never changes.
    generation
        How often the data set has changed: 0 to 2**32 - 1, 0 if it is not given. Above 0 only with
        `change`.
    max_threads
        Threads that make bytes; as many as the process may use if it is not given. They share the
        work of buffers of 2 MiB and more. Does not change the bytes.
    numa_mode
        Whether these threads and new memory are kept on memory nodes: ``"auto"`` (where there are
        several), ``"force"`` or ``"disabled"``.
    numa_node
        The memory node for all of them.

    Attributes
    ----------
    size, seed, dedup_ratio, compress_ratio, dedup_unit, compress_unit, fill_kind
        As they were given (`fill` as `fill_kind`), or chosen. A ratio is None where `copies` or
        `compress_mix` stand for it.
    copies, zeros, compress_mix, run, change, generation
        Tuples of pairs, and numbers, whatever they were given as; None for what was not given.
    blocks, distinct_blocks, zero_blocks
        Blocks of the data set, the last of which may be cut short, how many of them differ from
        each other (1 at least without the parameters of version 2; blocks of zeros count as one),
        and how many are zeros by `zeros`.
    expected_stored_bytes
        Bytes that a store which deduplicates and compresses at these units should keep.
    kernel, threads
        The kernel that makes the bytes, and threads that share the work of large buffers.

    Examples
    --------
    >>> spec = DataSpec(10_000_000, seed=42, dedup_ratio=2, compress_ratio=1.5)
    >>> last = bytearray(1000)
    >>> spec.fill(last, offset=spec.size - 1000)
    1000
    >>> spec.compare(last, offset=spec.size - 1000)
    []

    What changes a little every day, on its seventh:

    >>> spec = DataSpec(10_000_000, 42, copies={2: 0.3}, zeros=0.05, change="2%", generation=7)
    >>> before = DataSpec(**{**spec.as_dict(), "generation": 6})
    """

    size: int
    seed: int
    dedup_ratio: float | None
    compress_ratio: float | None
    dedup_unit: int
    compress_unit: int
    fill_kind: str
    copies: tuple[tuple[int, float], ...] | None
    zeros: float | None
    compress_mix: tuple[tuple[float, float], ...] | None
    run: int | None
    change: tuple[tuple[float, float], ...] | None
    generation: int | None
    blocks: int
    distinct_blocks: int
    zero_blocks: int
    expected_stored_bytes: int
    kernel: str
    threads: int
    _source: _native.Source
    _how: dict[str, Any]

    def __init__(
        self,
        size: SizeLike,
        seed: SupportsIndex | None = None,
        dedup_ratio: RatioLike | None = None,
        compress_ratio: RatioLike | None = None,
        dedup_unit: SizeLike = DEDUP_UNIT,
        compress_unit: SizeLike | None = None,
        fill: str = "backref",
        *,
        copies: ClassesLike | None = None,
        zeros: ShareLike | None = None,
        compress_mix: ClassesLike | None = None,
        run: SupportsIndex | str | None = None,
        change: ClassesLike | None = None,
        generation: SupportsIndex | str | None = None,
        max_threads: SupportsIndex | None = None,
        numa_mode: str = "auto",
        numa_node: SupportsIndex | None = None,
    ) -> None:
        ratios = ratios_of(
            1 if dedup_ratio is None else dedup_ratio,
            1 if compress_ratio is None else compress_ratio,
            is_exact=True,
        )
        shape = shape_of(dedup_unit, compress_unit, fill)
        known: dict[str, Any] = {"size": size_of(size), "seed": seed_of(seed)}
        composition = composition_of(
            {"dedup_ratio": dedup_ratio, "compress_ratio": compress_ratio},
            {"copies": copies, "compress_mix": compress_mix, "change": change},
            zeros,
            run=run,
            generation=generation,
        )
        kind = (*ratios, *shape, composition, *threads_of(max_threads, numa_mode, numa_node))
        source = _native.source(known["size"], known["seed"], *kind)
        known |= {"dedup_unit": shape[0], "fill_kind": shape[2]}
        # A frozen object is not assigned to.
        how = {"max_threads": max_threads, "numa_mode": numa_mode, "numa_node": numa_node}
        vars(self).update(known | source.describe(), _source=source, _how=how)

    @classmethod
    def from_manifest(
        cls,
        path: str | os.PathLike[str],
        *,
        max_threads: SupportsIndex | None = None,
        numa_mode: str = "auto",
        numa_node: SupportsIndex | None = None,
    ) -> DataSpec:
        """Return the data set that a file should hold, with threads as in `DataSpec`.

        `path` is the data file, beside which ``PATH.dgen.json`` is, or that manifest itself. Raises
        OSError where it cannot be read, and ValueError for what is no manifest of format
        ``dgen/1`` or ``dgen/2``. That of a run that did not end well is read with a warning in the
        log.
        """
        place = Path(path)
        if place.suffixes[-2:] != [".dgen", ".json"]:
            place = manifest.beside(place)
        stored = manifest.read(place)
        if not stored.is_complete:
            logging.getLogger(manifest.__name__).warning(
                "%s: the run that wrote this file did not end well", place
            )
        return cls(**stored.spec, max_threads=max_threads, numa_mode=numa_mode, numa_node=numa_node)

    def shard(
        self, rank: SupportsIndex, count: SupportsIndex, align: SizeLike = DEFAULT_ALIGN
    ) -> range:
        """Return the offsets of the bytes that are those of one of many processes.

        What `mpirun dgen-mpi` deals to ranks: contiguous shards in their order, which begin at
        multiples of `align`, and whose lengths differ by that at most. `start` is the offset of the
        first byte, `len()` how many they are. Constant time.

        Parameters
        ----------
        rank
            0 to `count` - 1.
        count
            How many processes share the data set: 1 to 2**31 - 1.
        align
            In bytes: 1 MiB if it is not given, as the program has it where it knows no stripe.
        """
        ranks = count_of(count, "count", least=1)
        number = count_of(rank, "rank")
        if number >= ranks:
            raise refusal("rank", number, f"0 to {ranks - 1}")
        start, length = _native.shard(self.size, number, ranks, size_of(align, "align", least=1))
        return range(start, start + length)

    def fill(self, buffer: ArrayLike, offset: SizeLike = 0) -> int:
        """Fill a buffer with the bytes from an offset on, and return its length in bytes.

        Nothing is copied. Other Python threads run meanwhile. Linear in the length of the buffer
        and independent of the offset: some microseconds to go elsewhere, nothing to go on.

        Parameters
        ----------
        buffer
            Writable memory in one piece (C order), of any type that has no references, and any
            shape: a numpy array, a bytearray, a memoryview, an array, an mmap, shared memory, a
            torch tensor's ``numpy()``. Or an array on a GPU, see `dgen_mpi.gpu`.
        offset
            In bytes. Buffer and offset lie within the data set.

        Raises
        ------
        UnsuitableBufferError
            For memory that is read-only or not in one piece, and for memory that is not known to be
            plain bytes: arrays of Python objects or of texts of any length, fields, structures and
            unions with pointers, views of such memory, and types that tell nothing of themselves
            (``array.view("u1")`` does). A `BufferError` and a `ValueError`.
        TypeError
            For what is no buffer.
        ValueError
            For a range outside the data set.
        """
        if _is_on_gpu(buffer):
            from dgen_mpi import gpu  # nothing else needs it

            return gpu.fill(self, buffer, offset)
        return self._source.fill(buffer, size_of(offset, "offset"), WHOLE_BUFFER)

    def compare(
        self,
        buffer: ArrayLike,
        offset: SizeLike = 0,
        *,
        limit: SupportsIndex = 1000,
        also_known: Iterable[SupportsIndex] = (),
        search_bytes: SizeLike = SEARCH_BYTES,
    ) -> DamagedRanges:
        """Compare a buffer with the bytes from an offset on, at the speed of generation.

        What is damaged is looked at again, and called what it is: see `Damage`.

        Parameters
        ----------
        buffer, offset
            As in `fill`, which tells what is raised, but the memory may be of any type, and
            read-only.
        limit
            The most ranges to list; all are counted.
        also_known
            Seeds of data sets that may have been there before, so that their bytes are known.
        search_bytes
            How much of the data set to look through for damaged bytes that nothing else explains,
            around the place where they were found; some GiB a second, and only where there are any.
        """
        if _is_on_gpu(buffer):
            from dgen_mpi import gpu  # nothing else needs it

            how: Any = {"limit": limit, "also_known": also_known, "search_bytes": search_bytes}
            return gpu.compare(self, buffer, offset, **how)
        known = b"".join(seed_of(seed).to_bytes(8, "little") for seed in also_known)
        start, most = size_of(offset, "offset"), count_of(limit, "limit", least=1)
        reach = size_of(search_bytes, "search_bytes")
        return DamagedRanges.of(self._source.compare(buffer, start, most, known, reach))

    def checksum(
        self,
        algorithm: str = ALGORITHM,
        offset: SizeLike = 0,
        length: SizeLike | None = None,
    ) -> Checksum:
        """Return the checksum of the data set, or of a range of it, which nobody has to have read.

        A cyclic redundancy check is shared by the threads of `max_threads`, and what repeats in a
        deduplicated data set is computed once. ``md5`` and ``sha256`` are computed by one thread.
        Constant memory: some MiB for each thread. Other Python threads run meanwhile, and Ctrl-C
        ends it.

        Parameters
        ----------
        algorithm
            ``"crc64nvme"``, ``"crc32c"``, ``"crc32"``, ``"md5"`` or ``"sha256"``.
        offset, length
            The range, in bytes, within the data set; up to its end if no length is given.

        Raises
        ------
        ValueError
            For an algorithm that is not known, and for a range outside the data set.

        Notes
        -----
        The cost is that of making the distinct bytes: for a check some 10 to 25 GB/s for each
        thread, 0.6 GB/s for ``md5`` and 0.3 GB/s for ``sha256``. With the scattered blocks of
        version 2, where contents are repeated, some 50 ns for each block besides.

        Examples
        --------
        >>> DataSpec(9_000_000, seed=42).checksum("crc32", offset=9, length=0).hex
        '00000000'
        """
        start, count = self._range(offset, length)
        (value,) = self._source.checksums(algorithm, start, count, 0)
        return Checksum(algorithm, start, count, value)

    def checksums(
        self,
        part_size: SizeLike,
        algorithm: str = ALGORITHM,
        offset: SizeLike = 0,
        length: SizeLike | None = None,
    ) -> PartChecksums:
        """Return the checksums of all parts of the data set, or of a range of it.

        Of an upload in parts, they are known before a part is sent. Parts are shared by threads,
        whatever the algorithm; else as `checksum`.

        Parameters
        ----------
        part_size
            The bytes of each part but the last, which may be shorter. So many that there are at
            most 10000 parts, as many as an object of S3 has.
        algorithm, offset, length
            As in `checksum`, which tells what is raised.
        """
        start, count = self._range(offset, length)
        size = size_of(part_size, "part_size", least=1)
        values = self._source.checksums(algorithm, start, count, size)
        return PartChecksums.of(algorithm, start, count, size, values)

    def _range(self, offset: SizeLike, length: SizeLike | None) -> tuple[int, int]:
        """Return a range that goes on to the end if no length is given."""
        start = size_of(offset, "offset")
        count = max(0, self.size - start) if length is None else size_of(length, "length")
        return start, count

    def write_manifest(
        self,
        path: str | os.PathLike[str],
        *,
        layout: str = "shared",
        ranks: SupportsIndex = 1,
        align: SizeLike = DEFAULT_ALIGN,
        transfer_size: SizeLike | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write the manifest of a data set that is there, so that `mpirun dgen-mpi` knows it.

        For what was written by other means, without `DataSet`. The manifest says that it is
        complete: every file has to be as long as it should be, and some of the bytes that are
        looked at, 4 MiB of each file at most, have to be right. Whether all are, ``dgen-mpi
        verify`` tells.

        Parameters
        ----------
        path
            The file, beside which ``PATH.dgen.json`` will be.
        layout, ranks, align, transfer_size
            How it was written, as in `DataSet.create`.
        overwrite
            Replace a manifest that is there; something else never is.

        Raises
        ------
        FileExistsError
            For a manifest that is there, or something else in its place.
        ValueError
            For a file that has nothing of the data set, and for an argument that is not accepted.
        OSError
            For a file that is missing, or of another length, and for what the system refuses.
        """
        shape = dealing_of(layout, ranks, align, transfer_size)
        self._source.write_manifest(os.fspath(path), *shape, 1 if overwrite else 0)

    def as_dict(self) -> dict[str, Any]:
        """Return the specification as manifests have it: what was not given is not there.

        Classes are lists of two numbers. A share below 0.0001 is a text in per cent.
        """
        found = {name: getattr(self, {"fill": "fill_kind"}.get(name, name)) for name in _FIELDS}
        if self.zeros is not None:
            found["zeros"] = share_of(self.zeros)
        for name in ("copies", "compress_mix"):
            if found[name] is not None:
                found[name] = [[value, share_of(share)] for value, share in found[name]]
        if self.change is not None:
            found["change"] = [[share_of(share), share_of(rate)] for share, rate in self.change]
        return {name: value for name, value in found.items() if value is not None}

    def __eq__(self, other: object) -> bool:
        """Tell whether both are the same bytes."""
        return isinstance(other, DataSpec) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        """Hash what the bytes are."""
        return hash(repr(self))

    def __repr__(self) -> str:
        """Tell the specification."""
        fields = ", ".join(f"{name}={value!r}" for name, value in self.as_dict().items())
        return f"DataSpec({fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what the bytes are, and how they were to be made."""
        return (functools.partial(DataSpec, **self.as_dict(), **self._how), ())


_CUDA_KINDS = (2, 13)
"""Memory of CUDA devices, plain and managed, by the numbers of DLPack."""


def _is_on_gpu(buffer: object) -> TypeIs[DeviceArray]:
    """Tell whether an array says that its memory is that of an NVIDIA GPU."""
    device = getattr(buffer, "__dlpack_device__", None)
    if device is None:
        return hasattr(buffer, "__cuda_array_interface__")
    try:
        return int(device()[0]) in _CUDA_KINDS
    except Exception:
        # Of several devices, or deleted: what it is used for says that better.
        return False
