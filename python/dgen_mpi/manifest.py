# SPDX-License-Identifier: MIT OR Apache-2.0
"""The manifest beside a data set: what the data is, whether it is complete, and in which files."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dgen_mpi import _native
from dgen_mpi._files import read_text
from dgen_mpi._text import plain

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
    is_per_rank: bool
    ranks: int | None
    align: int | None
    size: int
    seed: int
    dedup_unit: int
    compress_unit: int
    fill: str
    dedup_ratio: float | None
    compress_ratio: float | None
    copies: tuple[tuple[int, float], ...] | None
    zeros: float | None
    compress_mix: tuple[tuple[float, float], ...] | None
    run: int | None
    change: tuple[tuple[float, float], ...] | None
    generation: int | None

    @property
    def spec(self) -> dict[str, Any]:
        """What `DataSpec` is made of, by the names of its parameters."""
        others = ("is_complete", "is_per_rank", "ranks", "align")
        return {name: value for name, value in self._asdict().items() if name not in others}

    def shards(self, data: Path, offset: int = 0) -> Iterator[Shard]:
        """Yield the files of the data set at `data`, from that with the byte at `offset` on.

        Their names are made of that path alone.
        """
        if not self.is_per_rank:
            yield Shard(data, 0, self.size)
            return
        ranks = range(self.ranks or 1)
        first = bisect.bisect_right(ranks, offset, key=self._end_of) if offset else 0
        for rank in ranks[first:]:
            yield Shard(shard_path(data, rank), self._end_of(rank - 1), self._end_of(rank))

    def _end_of(self, rank: int) -> int:
        """Return where the part of a rank ends."""
        if rank < 0:
            return 0
        start, length = _native.shard(self.size, rank, self.ranks or 1, self.align or 1)
        return start + length


def beside(data: Path) -> Path:
    """Return where the manifest of a data file is."""
    return data.with_name(f"{data.name}.dgen.json")


def shard_path(path: Path, rank: int) -> Path:
    """Return the file of a rank that wrote the data set at `path`, a file for each rank."""
    return path.with_name(f"{path.name}.{rank:0{PER_RANK_DIGITS}}")


def read(path: Path) -> Manifest:
    """Return what a manifest says; raises `OSError`, and `ValueError` for what is none."""
    try:
        return Manifest(**_native.manifest(read_text(path, BYTES_MAX)))
    except ValueError as error:
        raise ValueError(f"{plain(path)}: {error}") from error
