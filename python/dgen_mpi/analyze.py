# SPDX-License-Identifier: MIT OR Apache-2.0
"""How well the contents of a file deduplicate and compress, measured with real compressors.

Needs what ``pip install 'dgen-mpi[jobs]'`` installs.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgen_mpi import DataSpec, _native, _records, manifest
from dgen_mpi._arguments import refusal
from dgen_mpi._records import ANALYSIS_FORMAT
from dgen_mpi._text import cell, new_table

if TYPE_CHECKING:
    from rich.table import Table

SEGMENT = 16 << 20
"""Bytes that are read and measured at once; content-defined chunks end where one ends."""

DEDUP_UNITS = (4 << 10, 64 << 10, 1 << 20)
CHUNK_UNITS = (8 << 10, 64 << 10)
COMPRESS_UNITS = (4 << 10, 64 << 10, 1 << 20)
CODECS = ("lz4", "zstd", "zlib")
MORE_CODECS = ("zstd-1", "snappy")
"""Codecs that are measured where they are asked for; snappy needs cramjam."""

DIGESTS_MAX = 1 << 21
"""Digests kept of one kind of blocks; of more, a part chosen by their contents stands for all."""


_Key = tuple[str, int]
"""What is measured: a kind of blocks or a codec, and a unit in bytes."""

_Found = tuple[int, dict[_Key, list[tuple[bytes, int]]], dict[_Key, int]]
"""The length of a segment, digests and lengths of its blocks, and bytes that compressors make."""


class _Blocks:
    """Blocks of one kind, and how many bytes of them are there once.

    Constant memory: of more than `DIGESTS_MAX` different blocks, those whose digest ends in zeros
    are counted, a sample by contents, which keeps all copies of a block or none (Wegman's adaptive
    sampling).
    """

    def __init__(self) -> None:
        self.mask = 0
        self.counts: Counter[bytes] = Counter()
        self.sizes: dict[bytes, int] = {}
        self.seen = 0

    def add(self, digests: list[tuple[bytes, int]]) -> None:
        for digest, length in digests:
            self.seen += 1
            if not self.mask & int.from_bytes(digest[:4], "little"):
                self.counts[digest] += 1
                self.sizes[digest] = length
        while len(self.counts) > DIGESTS_MAX:
            self.mask = self.mask << 1 | 1
            for digest in list(self.counts):
                if self.mask & int.from_bytes(digest[:4], "little"):
                    del self.counts[digest], self.sizes[digest]

    @property
    def ratio(self) -> float:
        total = sum(count * self.sizes[digest] for digest, count in self.counts.items())
        distinct = sum(self.sizes.values())
        return total / distinct if distinct else 1.0


def analyze(
    path: str | os.PathLike[str],
    *,
    dedup_units: Sequence[int] = DEDUP_UNITS,
    chunk_units: Sequence[int] = CHUNK_UNITS,
    compress_units: Sequence[int] = COMPRESS_UNITS,
    codecs: Sequence[str] = CODECS,
    sample_bytes: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure how well a file deduplicates and compresses.

    What is returned is ``dgen-analysis/1``: `path`, `file_bytes`, `sampled_bytes`, `dedup` (`kind`,
    `unit`, `blocks`, `ratio`), `compression` (`codec`, `unit`, `ratio`), `spec` or None. A dedup
    ratio is an estimate where there are more than `DIGESTS_MAX` different blocks of a kind. Raises
    ValueError for an empty file, a unit or a codec that is not known, and OSError for a file that
    cannot be read.

    Parameters
    ----------
    path
        Any file. If it has a manifest (``FILE.dgen.json``), what it was asked for is told too, and
        its block is one of the units.
    dedup_units
        Sizes of fixed blocks in bytes, at most 16 MiB.
    chunk_units
        Average sizes of content-defined chunks (FastCDC) in bytes, 256 B to 1 MiB.
    compress_units
        Bytes that are compressed on their own, at most 16 MiB. A unit that does not become smaller
        counts as it is.
    codecs
        ``"lz4"``, ``"zstd"`` (level 3), ``"zlib"`` (level 6), ``"zstd-1"`` (level 1), ``"snappy"``
        (which needs cramjam).
    sample_bytes
        How much of the file is read, in pieces of 16 MiB chosen at random; all of it if it is not
        given. Blocks that are the same in pieces that are not read are not found: of a sample,
        dedup ratios are too low.
    seed
        Chooses the pieces.
    threads
        How many measure at the same time; as many as there are processors if it is not given.
    progress
        Is called with the bytes done and all bytes, now and then.
    """
    path = Path(path)
    file_bytes = path.stat().st_size
    if not path.is_file():
        raise ValueError(f"{path}: not a regular file")
    if file_bytes == 0:
        raise ValueError(f"{path}: empty, nothing to analyze")
    spec = _specification(path)
    if spec is not None and dedup_units and spec["dedup_unit"] <= SEGMENT:
        dedup_units = (*dedup_units, spec["dedup_unit"])
    dedup_units = _units(dedup_units, "dedup_units", 512, SEGMENT)
    chunk_units = _units(chunk_units, "chunk_units", 256, 1 << 20)
    compress_units = _units(compress_units, "compress_units", 512, SEGMENT)
    known = (*CODECS, *MORE_CODECS)
    for codec in codecs:
        if codec not in known:
            raise refusal("codecs", codec, " or ".join(known))
    # Pieces of whole blocks, whatever their size.
    step = SEGMENT
    for unit in (*dedup_units, *compress_units):
        if step % unit:
            step = unit * max(1, SEGMENT // unit)
    starts = list(range(0, file_bytes, step))
    if sample_bytes is not None and sample_bytes < file_bytes:
        count = max(1, round(sample_bytes / step))
        starts = sorted(random.Random(seed).sample(starts, min(count, len(starts))))
    total = sum(min(step, file_bytes - start) for start in starts)
    blocks = {("fixed", unit): _Blocks() for unit in dedup_units}
    blocks |= {("content-defined", unit): _Blocks() for unit in chunk_units}
    stored = Counter({(codec, unit): 0 for codec in codecs for unit in compress_units})
    done = 0
    measure = functools.partial(_measure, path, step, list(blocks), list(stored))
    for length, digests, compressed in _measured(measure, starts, threads):
        for key, several in digests.items():
            blocks[key].add(several)
        stored.update(compressed)
        done += length
        if progress is not None:
            progress(done, total)
    return {
        "format": ANALYSIS_FORMAT,
        "path": str(path.absolute()),
        "file_bytes": file_bytes,
        "sampled_bytes": done,
        "dedup": [
            {"kind": kind, "unit": unit, "blocks": found.seen, "ratio": found.ratio}
            for (kind, unit), found in blocks.items()
        ],
        "compression": [
            {"codec": codec, "unit": unit, "ratio": done / count}
            for (codec, unit), count in stored.items()
        ],
        "spec": spec,
    }


def _units(units: Sequence[int], name: str, least: int, most: int) -> tuple[int, ...]:
    for unit in units:
        if not least <= unit <= most:
            bounds = f"{_native.format_size(least)} to {_native.format_size(most)}"
            raise refusal(name, unit, bounds)
    return tuple(dict.fromkeys(units))


def _specification(path: Path) -> dict[str, Any] | None:
    """Return what the manifest of a file says; None where there is none that can be used."""
    place = manifest.beside(path)
    if not place.exists():
        return None
    try:
        known = DataSpec.from_manifest(place).as_dict()
    except (OSError, ValueError) as error:
        logging.getLogger("dgen_mpi.analyze").warning("%s: %s", place, error)
        return None
    del known["fill"]
    return known


def _measured(
    measure: Callable[[int], _Found], starts: list[int], threads: int | None
) -> Iterator[_Found]:
    threads = threads or len(os.sched_getaffinity(0))
    # Hashes and compressors work without Python's lock.
    with ThreadPoolExecutor(threads) as pool:
        waiting = []
        for start in starts:
            waiting.append(pool.submit(measure, start))
            if len(waiting) >= 2 * threads:
                yield waiting.pop(0).result()
        for found in waiting:
            yield found.result()


def _measure(
    path: Path, length: int, kinds: list[_Key], compressions: list[_Key], start: int
) -> _Found:
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(length)
    digests, stored = {}, {}
    for kind, unit in kinds:
        parts = _blocks(data, unit) if kind == "fixed" else _chunks(data, unit)
        digests[kind, unit] = [_digest(part) for part in parts]
    for codec, unit in compressions:
        compress, parts = compressor(codec), _blocks(data, unit)
        stored[codec, unit] = sum(min(len(compress(part)), len(part)) for part in parts)
    return len(data), digests, stored


def _blocks(data: bytes, unit: int) -> Iterator[memoryview]:
    return (memoryview(data)[place : place + unit] for place in range(0, len(data), unit))


def _chunks(data: bytes, unit: int) -> Iterator[memoryview]:
    from fastcdc import fastcdc

    for chunk in fastcdc(data, unit // 4, unit, unit * 8):
        yield memoryview(data)[chunk.offset : chunk.offset + chunk.length]


def _digest(block: memoryview) -> tuple[bytes, int]:
    return hashlib.blake2b(block, digest_size=16).digest(), len(block)


def compressor(codec: str) -> Callable[[memoryview], bytes]:
    """Return what compresses a block; for one thread."""
    if codec == "lz4":
        import lz4.block

        return lambda block: bytes(lz4.block.compress(block, store_size=False))
    if codec.startswith("zstd"):
        import zstandard

        return zstandard.ZstdCompressor(level=1 if codec == "zstd-1" else 3).compress
    if codec == "snappy":
        import cramjam

        return lambda block: bytes(cramjam.snappy.compress_raw(block))
    return lambda block: zlib.compress(block, 6)


def table(analysis: dict[str, Any]) -> Table:
    """Return a table for people of what `analyze` found."""
    table = new_table(["measure"], ("unit", "ratio", "requested"))
    spec = analysis["spec"]
    for found in analysis["dedup"]:
        asked = ""
        if spec and found["kind"] == "fixed" and found["unit"] == spec["dedup_unit"]:
            asked = _shown(spec.get("dedup_ratio"))
        name = "dedup, fixed blocks" if found["kind"] == "fixed" else "dedup, chunks by content"
        unit = _native.format_size(found["unit"])
        table.add_row(name, unit, f"{found['ratio']:.3f}", asked)
    for found in analysis["compression"]:
        asked = _shown(spec.get("compress_ratio")) if spec else ""
        unit = _native.format_size(found["unit"])
        table.add_row(cell(f"compression, {found['codec']}"), unit, f"{found['ratio']:.3f}", asked)
    return table


def _shown(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:g}"


def draw(analysis: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Draw what `analyze` found as bars, PNG or SVG by the suffix; raises OSError."""
    from dgen_mpi import plots

    plots.draw_analysis(analysis, path)


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return an analysis that was written to a file; raises ValueError for what is none."""
    return _records.analysis(Path(path))
