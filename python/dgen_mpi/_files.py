# SPDX-License-Identifier: MIT OR Apache-2.0
"""The files that hold a data set: one, or a shard for each rank that wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PER_RANK_DIGITS = 8
"""Digits of the number at the end of a shard's name, more where there are more ranks."""


class Shard(NamedTuple):
    """A file, and the bytes of the data set that it should hold."""

    path: Path
    start: int
    stop: int


def shard_path(path: Path, rank: int) -> Path:
    """Return the file of a rank that wrote the data set at `path`, a file for each rank."""
    return path.with_name(f"{path.name}.{rank:0{PER_RANK_DIGITS}}")


def shards(path: Path, size: int) -> Iterator[Shard]:
    """Yield the files of the data set at `path`, of `size` bytes, as its manifest tells.

    Names are made of `path` itself, not taken from the manifest.

    Raises
    ------
    OSError
        Where the manifest cannot be read.
    ValueError
        For one that does not tell.
    """
    manifest = Path(f"{path}.dgen.json")
    content = json.loads(manifest.read_text(encoding="utf-8"))
    layout = content.get("layout", "shared")
    if layout == "shared":
        yield Shard(path, 0, size)
        return
    ranks, align = content.get("ranks"), content.get("align")
    if (
        layout != "per-rank"
        or not isinstance(ranks, int)
        or not isinstance(align, int)
        or not 1 <= ranks <= 1_000_000_000
        or not 1 <= align <= 1 << 40
    ):
        raise ValueError(f"{manifest}: layout, ranks, align: not those of a file for each rank")
    each, more = divmod(-(-size // align), ranks)
    for rank in range(ranks):
        start, stop = (
            min(size, (number * each + min(number, more)) * align) for number in (rank, rank + 1)
        )
        yield Shard(shard_path(path, rank), start, stop)
