# SPDX-License-Identifier: MIT OR Apache-2.0
"""Commands that look into files, `dgen analyze` and `dgen verify`, and `dgen profiles`."""

from __future__ import annotations

import argparse
import difflib
import functools
import time
from collections.abc import Callable
from pathlib import Path

import dgen_mpi
from dgen_mpi import _native, manifest, report
from dgen_mpi import analyze as ratios
from dgen_mpi import profiles as ready
from dgen_mpi._arguments import SEARCH_BYTES
from dgen_mpi._files import open_data, replace
from dgen_mpi.cli.display import progress_of
from dgen_mpi.cli.output import Status, new_console, print_json, require_output, say
from dgen_mpi.jobs import CampaignFolder, JobError
from dgen_mpi.jobs.folder import write_json
from dgen_mpi.jobs.options import read as options_of
from dgen_mpi.jobs.options import size_in

CHUNK = 8 << 20
"""Bytes that `verify` reads at once."""

RANGES_SHOWN = 20
"""Damaged ranges that `verify` prints for people; 1000 are in its JSON, and all are counted."""


def _sizes(text: str, field: str) -> tuple[int, ...]:
    return tuple(size_in(part.strip(), field) for part in text.split(",") if part)


def analyze(options: argparse.Namespace) -> None:
    """Measure how well files deduplicate and compress, or what they are composed of."""
    if options.profile_out:
        imitate(options)
        return
    for name in ("unit", "earlier", "force"):
        if getattr(options, name):
            raise JobError(f"{name}: only with --profile-out")
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
                files = (Path(output), manifest.shard_path(Path(output), 0))
                if file := next(filter(Path.exists, files), None):
                    suffix = f"-{number}" if number else ""
                    wanted.append((file, folder.place(case) / f"analysis{suffix}.json"))
    if not wanted:
        raise JobError("no files to analyze: they are not there any more")
    if options.plot and len(wanted) > 1:
        raise JobError("plot: one file at a time; dgen report --plot-ratios draws several")
    if options.plot:
        read = wanted[0][0]
        inputs = [(read, "what is read"), (manifest.beside(read), "the manifest")]
        require_output("plot", options.plot, inputs)
    sample = _sizes(options.sample, "sample")[0] if options.sample else None
    found = []
    for path, kept in wanted:
        with progress_of(f"analyze {path.name}", is_quiet=options.json) as progress:
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
            part, whole = analysis["sampled_bytes"], analysis["file_bytes"]
            sampled = "" if part == whole else f", {_native.format_size(part)} of it read"
            say(f"{path}: {_native.format_size(whole)}{sampled}")
            new_console().print(ratios.table(analysis))
    if options.json:
        print_json(found[0] if len(found) == 1 and len(options.paths) == 1 else found)


def imitate(options: argparse.Namespace) -> None:
    """Write a profile that makes data like what is there."""
    from dgen_mpi import imitate

    target = None if options.profile_out == "-" else Path(options.profile_out)
    inputs = [(path, "what is read") for path in [*options.paths, options.earlier] if path]
    require_output("profile_out", options.profile_out, inputs)
    if target is not None and target.exists() and not options.force:
        raise JobError(f"profile_out: '{target}' is there; --force replaces a profile")
    if options.plot:
        written = [(target, "the profile")] if target is not None else []
        require_output("plot", options.plot, [*inputs, *written])
    with progress_of("analyze", is_quiet=options.json) as progress:
        measured = imitate.measure(
            options.paths,
            unit=_sizes(options.unit, "unit")[0] if options.unit else imitate.UNIT,
            earlier=options.earlier,
            sample=_part(options.sample) if options.sample else 1,
            codec=options.codecs.split(",")[0],
            threads=options.threads,
            progress=progress,
        )
    text = imitate.profile_text(measured, target.stem if target else "measured")
    if target is not None:
        replace(target, text, is_new=not options.force)
    if options.plot:
        imitate.draw(measured, options.plot)
    if options.json:
        print_json(measured)
        return
    if target is None:
        print(text, end="")
        return
    new_console().print(imitate.table(measured))
    say(f"written: {target}; dgen-mpi --profile {_as_option(target)} makes data like it")


def _as_option(path: Path) -> str:
    """Return a path that is not taken for the name of a ready profile."""
    text = str(path)
    return text if "/" in text or "." in text else f"./{text}"


def _part(text: str) -> float:
    """Return a part of a whole: `1%` or `0.01`."""
    return float(options_of({"sample": text})["sample"])


def profiles(options: argparse.Namespace) -> None:
    """List the ready profiles, or print one as YAML."""
    known = ready.ready()
    if options.name and options.name not in known:
        near = difflib.get_close_matches(options.name, known, 1)
        advice = f"; did you mean '{near[0]}'?" if near else ""
        raise JobError(f"no profile '{options.name}'{advice} known: {' '.join(known)}")
    found = {name: ready.load(name) for name in ([options.name] if options.name else known)}
    if options.json:
        print_json(found[options.name] if options.name else list(found.values()))
    elif options.name:
        print(known[options.name], end="")
    else:
        width = max(map(len, found)) + 2
        for name, profile in found.items():
            say(f"{name:{width}}{' '.join(ready.remarks(profile, 'about'))}")


def _compare(
    source: _native.Source, shard: manifest.Shard, progress: Callable[[int], None]
) -> tuple[int, int]:
    """Compare one file with its part of the data set; return its length and what was compared."""
    buffer = memoryview(bytearray(CHUNK))
    offset = shard.start
    with open_data(shard.path) as file:
        while length := file.readinto(buffer[: shard.stop - offset]):
            source.compare_next(buffer[:length])
            offset += length
            progress(offset)
    source.miss_next(shard.stop - offset)
    return shard.path.stat().st_size, offset - shard.start


def _read(stored: manifest.Manifest, path: Path, offset: int, count: int) -> bytes:
    """Return the bytes of a data set that are there now, as far as no file is too short."""
    found = b""
    for shard in stored.shards(path, offset):
        place = offset + len(found)
        with open_data(shard.path) as file:
            file.seek(place - shard.start)
            part = file.read(min(shard.stop - place, count - len(found)))
        found += part
        if place + len(part) < shard.stop or len(found) == count:
            break
    return found


def verify(options: argparse.Namespace) -> int:
    """Compare a file with what its manifest says, in this process."""
    path: Path = options.file
    if path.is_block_device():
        raise JobError(f"{path}: is a device; dgen-mpi verify --manifest FILE reads it")
    spec = dgen_mpi.DataSpec.from_manifest(path, max_threads=options.threads)
    stored = manifest.read(manifest.beside(path))
    source = spec._source
    file_bytes = compared = 0
    started = time.monotonic()
    with progress_of(f"verify {path.name}", is_quiet=options.json) as progress:
        for shard in stored.shards(path):
            found, read = _compare(source, shard, lambda done: progress(done, spec.size))
            file_bytes, compared = file_bytes + found, compared + read
    damage = dgen_mpi.DamagedRanges.of(
        source.damage(functools.partial(_read, stored, path), SEARCH_BYTES)
    )
    seconds = time.monotonic() - started
    is_right = damage.range_count == 0 and file_bytes == spec.size
    status = Status.DONE if is_right else Status.DIFFERS
    if options.json:
        print_json(
            {
                "path": str(path.absolute()),
                "status": "ok" if is_right else "mismatch",
                "size": spec.size,
                "file_bytes": file_bytes,
                "seconds": seconds,
                "wrong_bytes": damage.wrong_bytes,
                "damage_ranges": damage.range_count,
                "damage": [damaged.as_dict() for damaged in damage],
            }
        )
        return status
    rate = report.rate(compared / seconds if seconds else 0)
    say(f"{path}: {_native.format_size(compared)} compared, {rate}")
    for damaged in damage[:RANGES_SHOWN]:
        wrong = f"{damaged.wrong_bytes} of {damaged.bytes} bytes wrong"
        estimate = ", as samples of it tell" if damaged.sampled else ""
        say(f"  offset {damaged.offset}: {wrong}, {damaged.kind.replace('_', ' ')}{estimate}")
    if damage.range_count > RANGES_SHOWN:
        say(f"  and {damage.range_count - RANGES_SHOWN} more ranges")
    if file_bytes != spec.size:
        say(f"  the file has {file_bytes} bytes instead of {spec.size}")
    print("every byte is right" if is_right else f"{damage.wrong_bytes} bytes wrong or missing")
    return status
