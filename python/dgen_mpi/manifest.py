# SPDX-License-Identifier: MIT OR Apache-2.0
"""The manifest beside a data set: what the data is, whether it is complete, and in which files."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from dgen_mpi import _native
from dgen_mpi._files import read_text

PER_RANK_DIGITS = 8
"""Digits of the number at the end of a shard's name, more where there are more ranks."""

BYTES_MAX = 1 << 20
"""The longest manifest."""


class Shard(NamedTuple):
    """A file, and the bytes of the data set that it should hold."""

    path: Path
    start: int
    stop: int


class Manifest(NamedTuple):
    """What a manifest says, as the program reads it."""

    is_complete: bool
    size: int
    seed: int
    dedup_thousandths: int
    compress_thousandths: int
    dedup_unit: int
    compress_unit: int
    fill: str
    is_per_rank: bool
    ranks: int | None
    align: int | None

    @property
    def spec(self) -> tuple[int, int, Decimal, Decimal, int, int, str]:
        """What `DataSpec` is made of, in its order."""
        ratios = (Decimal(self.dedup_thousandths) / 1000, Decimal(self.compress_thousandths) / 1000)
        return (self.size, self.seed, *ratios, self.dedup_unit, self.compress_unit, self.fill)

    def shards(self, data: Path) -> Iterator[Shard]:
        """Yield the files of the data set at `data`: their names are made of that path alone."""
        if not self.is_per_rank or self.ranks is None or self.align is None:
            yield Shard(data, 0, self.size)
            return
        each, more = divmod(-(-self.size // self.align), self.ranks)
        for rank in range(self.ranks):
            start, stop = (
                min(self.size, (number * each + min(number, more)) * self.align)
                for number in (rank, rank + 1)
            )
            yield Shard(shard_path(data, rank), start, stop)


def beside(data: Path) -> Path:
    """Return where the manifest of a data file is."""
    return data.with_name(f"{data.name}.dgen.json")


def shard_path(path: Path, rank: int) -> Path:
    """Return the file of a rank that wrote the data set at `path`, a file for each rank."""
    return path.with_name(f"{path.name}.{rank:0{PER_RANK_DIGITS}}")


def read(path: Path) -> Manifest:
    """Return what the manifest at `path` says.

    Raises
    ------
    OSError
        Where it cannot be read.
    ValueError
        For what is no manifest of format ``dgen/1``.
    """
    try:
        return Manifest(**_native.manifest(read_text(path, BYTES_MAX)))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
