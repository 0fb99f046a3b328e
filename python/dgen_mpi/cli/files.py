# SPDX-License-Identifier: MIT OR Apache-2.0
"""Commands that look into one file: `dgen analyze` and `dgen verify`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dgen_mpi
from dgen_mpi import _native, manifest, report
from dgen_mpi import analyze as ratios
from dgen_mpi._files import open_data
from dgen_mpi.cli.display import Display
from dgen_mpi.cli.output import (
    DIFFERS,
    DONE,
    PICTURE_MARK,
    new_console,
    print_json,
    require_output,
    say,
)
from dgen_mpi.jobs import CampaignFolder, JobError, values
from dgen_mpi.jobs.folder import write_json

CHUNK = 8 << 20
"""Bytes that `verify` reads at once."""

RANGES_MAX = 1000
"""Damaged ranges that `verify` lists; all are counted."""

RANGES_SHOWN = 20
"""Those that it prints for people."""


def _sizes(text: str, field: str) -> tuple[int, ...]:
    found = []
    for part in filter(None, text.split(",")):
        try:
            found.append(values.size(part.strip(), 1))
        except ValueError as error:
            raise JobError(f"{field}: {error}") from error
    return tuple(found)


def analyze(options: argparse.Namespace) -> int:
    """Measure how well a file deduplicates and compresses."""
    wanted: list[tuple[Path, Path | None]] = []
    for text in options.paths:
        path = Path(text)
        if not path.is_dir():
            wanted.append((path, None))
            continue
        folder = CampaignFolder.open(path)
        for case in folder.campaign.cases:
            for number, output in enumerate(case.outputs):
                # Of a file for each rank, the first.
                for file in (Path(output), manifest.shard_path(Path(output), 0)):
                    if file.exists():
                        suffix = f"-{number}" if number else ""
                        wanted.append((file, folder.place(case) / f"analysis{suffix}.json"))
                        break
    if not wanted:
        raise JobError("no files to analyze: they are not there any more")
    if options.plot and len(wanted) > 1:
        raise JobError("plot: one file at a time; dgen report --plot-ratios draws several")
    if options.plot:
        inputs: list[tuple[str | Path, str]] = [(path, "what is read") for path, _ in wanted]
        inputs += [(manifest.beside(path), "the manifest") for path, _ in wanted]
        require_output("plot", options.plot, inputs, PICTURE_MARK)
    sample = _sizes(options.sample, "sample")[0] if options.sample else None
    found = []
    for path, kept in wanted:
        with Display.bytes(f"analyze {path.name}", is_quiet=options.json) as progress:
            analysis = ratios.analyze(
                path,
                dedup_units=_sizes(options.dedup_units, "dedup_units"),
                chunk_units=_sizes(options.chunk_units, "chunk_units"),
                compress_units=_sizes(options.compress_units, "compress_units"),
                codecs=tuple(filter(None, options.codecs.split(","))),
                sample_bytes=sample,
                threads=options.threads,
                progress=progress,
            )
        found.append(analysis)
        if kept is not None:
            write_json(kept, analysis)
        if options.plot:
            ratios.draw(analysis, options.plot)
        if not options.json:
            read, whole = analysis["sampled_bytes"], analysis["file_bytes"]
            sampled = "" if read == whole else f", {_native.format_size(read)} of it read"
            say(f"{path}: {_native.format_size(whole)}{sampled}")
            new_console().print(ratios.table(analysis))
    if options.json:
        print_json(found[0] if len(found) == 1 and len(options.paths) == 1 else found)
    return DONE


TRUNCATED = "truncated"
"""The kind of damage that bytes are which are not there."""


def _as_one(first: dgen_mpi.Damage, second: dgen_mpi.Damage) -> dict[str, Any]:
    """Return what is true of two damaged ranges that are one, and of what lies between them."""
    end = first.offset + first.bytes
    # Where one goes on as the other, none of them ends with a block.
    kinds = ["foreign" if it.kind == "torn" else it.kind for it in (first, second)]
    known: dict[str, Any] = {
        "kind": kinds[0],
        "seed": first.seed,
        "source_offset": first.source_offset,
        "sampled": first.sampled or second.sampled,
    }
    if kinds == ["bit_flips", "bit_flips"]:
        bits = (first.flipped_bits or 0) + (second.flipped_bits or 0)
        return known | {"flipped_bits": bits, "bits": (first.bits + second.bits)[:64]}
    if kinds == ["misplaced", "misplaced"]:
        moved = (second.source_offset or 0) - (first.source_offset or 0)
        is_one = moved == second.offset - first.offset
    else:
        is_one = kinds[0] == kinds[1] != "mixed" and first.seed == second.seed
    # Right bytes between two ranges are what they are by chance only where these are of no origin.
    if is_one and (second.offset == end or kinds[0] == "foreign"):
        return known
    parts = [
        part
        for damage, kind in zip((first, second), kinds, strict=True)
        for part in (damage.parts or [(kind, damage.offset, damage.bytes)])
    ]
    counts = [damage.part_count or 1 for damage in (first, second)]
    return {
        "kind": "mixed",
        "parts": parts[:16],
        "part_count": sum(counts),
        "sampled": known["sampled"],
    }


class _Damages:
    """Damaged ranges in file order, joined as the program joins them: a list and full counts."""

    def __init__(self, gap: int) -> None:
        self._gap = gap
        self._last: dgen_mpi.Damage | None = None
        self.ranges: list[dgen_mpi.Damage] = []
        self.count = 0
        self.wrong_bytes = 0

    @property
    def room(self) -> int:
        """How many more ranges are listed."""
        return RANGES_MAX - len(self.ranges)

    def add(self, found: dgen_mpi.DamagedRanges) -> None:
        """Add ranges that lie behind the last one; the first of them is listed."""
        if not found:
            return
        new, last = list(found), found.last
        joined = self._joined(new[0])
        if joined is not None:
            if self.count <= RANGES_MAX:
                self.ranges[-1] = joined
            self.count -= 1
            last = joined if found.range_count == 1 else last
            del new[0]
        self.ranges += new[: self.room]
        self.count += found.range_count
        self.wrong_bytes += found.wrong_bytes
        self._last = last

    def _joined(self, new: dgen_mpi.Damage) -> dgen_mpi.Damage | None:
        """Return the last range together with the next, if they are one."""
        last = self._last
        if last is None or (last.kind == TRUNCATED) != (new.kind == TRUNCATED):
            return None
        if new.offset - last.offset - last.bytes >= self._gap:
            return None
        return dgen_mpi.Damage(
            last.offset,
            new.offset + new.bytes - last.offset,
            last.wrong_bytes + new.wrong_bytes,
            _as_one(last, new),
        )


def _verify_file(
    spec: dgen_mpi.DataSpec,
    shard: manifest.Shard,
    damages: _Damages,
    progress: Callable[[int, int], None],
) -> tuple[int, int]:
    """Compare one file with its part of the data set; return its length and what was compared."""
    buffer = bytearray(CHUNK)
    offset = shard.start
    with open_data(shard.path) as file:
        while offset < shard.stop:
            length = file.readinto(memoryview(buffer)[: min(CHUNK, shard.stop - offset)])
            if not length:
                break
            part = memoryview(buffer)[:length]
            if damages.count <= RANGES_MAX:
                # The first of them may belong to the last one that is listed.
                damages.add(spec.compare(part, offset, limit=max(damages.room, 1)))
            else:
                damages.add(spec.compare(part, offset, limit=1, search_bytes=0))
            offset += length
            progress(offset, spec.size)
    if offset < shard.stop:
        missing = shard.stop - offset
        gone = dgen_mpi.Damage(offset, missing, missing, {"kind": TRUNCATED})
        damages.add(dgen_mpi.DamagedRanges([gone], 1, missing, missing))
    return shard.path.stat().st_size, offset - shard.start


def verify(options: argparse.Namespace) -> int:
    """Compare a file with what its manifest says, in this process."""
    path: Path = options.file
    spec = dgen_mpi.DataSpec.from_manifest(path, max_threads=options.threads)
    damages = _Damages(spec.compress_unit)
    file_bytes = compared = 0
    started = time.monotonic()
    with Display.bytes(f"verify {path.name}", is_quiet=options.json) as progress:
        for shard in manifest.read(manifest.beside(path)).shards(path):
            found, read = _verify_file(spec, shard, damages, progress)
            file_bytes, compared = file_bytes + found, compared + read
    seconds = time.monotonic() - started
    is_right = damages.count == 0 and file_bytes == spec.size
    if options.json:
        print_json(
            {
                "path": str(path.absolute()),
                "status": "ok" if is_right else "mismatch",
                "size": spec.size,
                "file_bytes": file_bytes,
                "seconds": seconds,
                "wrong_bytes": damages.wrong_bytes,
                "damage_ranges": damages.count,
                "damage": [damaged.as_dict() for damaged in damages.ranges],
            }
        )
        return DONE if is_right else DIFFERS
    rate = report.rate(compared / seconds if seconds else 0)
    say(f"{path}: {_native.format_size(compared)} compared, {rate}")
    for damaged in damages.ranges[:RANGES_SHOWN]:
        wrong = f"{damaged.wrong_bytes} of {damaged.bytes} bytes wrong"
        estimate = ", as samples of it tell" if damaged.sampled else ""
        say(f"  offset {damaged.offset}: {wrong}, {damaged.kind.replace('_', ' ')}{estimate}")
    if damages.count > RANGES_SHOWN:
        say(f"  and {damages.count - RANGES_SHOWN} more ranges")
    if file_bytes != spec.size:
        say(f"  the file has {file_bytes} bytes instead of {spec.size}")
    wrong = f"{damages.wrong_bytes} bytes wrong or missing"
    print("every byte is right" if is_right else wrong)
    return DONE if is_right else DIFFERS
