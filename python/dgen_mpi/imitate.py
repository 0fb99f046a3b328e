# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measures what data is composed of, and describes it as a profile that makes data like it.

Reads only, and in bounded memory. Needs what ``pip install 'dgen-mpi[jobs]'`` installs.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import logging
import math
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgen_mpi import _native
from dgen_mpi._arguments import refusal
from dgen_mpi._classes import (
    WHOLE,
    copy_classes,
    made,
    per_cent,
    ratio_classes,
    thousandths,
)
from dgen_mpi._text import new_table
from dgen_mpi.analyze import CODECS, MORE_CODECS, compressor
from dgen_mpi.jobs.files import dump
from dgen_mpi.jobs.options import exact_size

if TYPE_CHECKING:
    from rich.table import Table

FORMAT = "dgen-measured/1"

MARK = "# A profile, written by dgen analyze"
"""How a profile begins that was written here."""

UNIT = 4 << 10
UNIT_MAX = 16 << 20

CONTENTS_MAX = 1 << 20
"""Contents that are counted one by one; of more, a part chosen by their fingerprints."""

BATCH = 16 << 20
"""Bytes that a thread reads and looks at in a row, of one file or of several small ones."""

_SPACE = 1 << 64
"""How many fingerprints there are."""

_HEAVY = 8
"""Copies from which on a content may stay counted when others are dropped."""

_STEP = 0.005
"""Ratios are told apart by so much of their logarithm."""

_log = logging.getLogger("dgen_mpi.imitate")


class Contents:
    """How many copies each content has, in bounded memory.

    When there are too many, those whose fingerprints are in the upper half of what is kept are
    dropped for good, so that all copies of a content are counted or none (Wegman's adaptive
    sampling); each of the others stands for twice as many as before. Contents with the most copies
    stay, and stand for as many as when that was decided: few contents may hold most blocks.
    """

    def __init__(self, most: int = CONTENTS_MAX) -> None:
        self._most = most
        self.limit = _SPACE
        """Fingerprints below are counted."""
        self.counts: dict[int, int] = {}
        self._weights: dict[int, int] = {}

    @property
    def weight(self) -> int:
        """How many contents one stands for that is seen now for the first time."""
        return _SPACE // self.limit

    def add(self, fingerprint: int) -> bool:
        """Count a block; tell whether its content is one that was not there and is kept."""
        if fingerprint in self.counts:
            self.counts[fingerprint] += 1
            return False
        if fingerprint >= self.limit:
            return False
        self.counts[fingerprint] = 1
        return True

    def shrink(self) -> None:
        """Drop contents if there are too many."""
        while len(self.counts) > self._most:
            self._keep_heavy()
            self.limit //= 2
            for fingerprint in list(self.counts):
                if fingerprint >= self.limit and fingerprint not in self._weights:
                    del self.counts[fingerprint]

    def _keep_heavy(self) -> None:
        room = (self._most // 4 - len(self._weights)) // 2
        numbers = Counter(
            count
            for fingerprint, count in self.counts.items()
            if count >= _HEAVY and fingerprint not in self._weights
        )
        least = None
        for copies in sorted(numbers, reverse=True):
            room -= numbers[copies]
            if room < 0:
                break
            least = copies
        if least is None:
            return
        for fingerprint, count in self.counts.items():
            if count >= least:
                self._weights.setdefault(fingerprint, self.weight)

    def distribution(self) -> dict[int, tuple[float, float]]:
        """Return contents by their copies, as estimated, and the variance of that."""
        common = self.weight
        found: dict[int, tuple[float, float]] = {}
        for fingerprint, copies in self.counts.items():
            weight = self._weights.get(fingerprint, common)
            count, variance = found.get(copies, (0, 0))
            found[copies] = (count + weight, variance + weight * (weight - 1))
        return found


@dataclass
class _Piece:
    """A part of a file, and what there was at this place earlier."""

    path: Path | None
    earlier: Path | None
    start: int
    size: int
    earlier_size: int


@dataclass
class _Seen:
    """What a thread found in some pieces."""

    files: int = 0
    bytes: int = 0
    blocks: int = 0
    zeros: int = 0
    places: int = 0
    changed: int = 0
    fingerprints: list[int] = field(default_factory=list)
    stored: dict[int, int] = field(default_factory=dict)


def measure(
    paths: Sequence[str | os.PathLike[str]],
    *,
    unit: int = UNIT,
    earlier: str | os.PathLike[str] | None = None,
    sample: float = 1,
    codec: str = "lz4",
    contents_max: int = CONTENTS_MAX,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure what data is composed of.

    Everything is read. Zeros are counted exactly; copies too while there are at most
    `contents_max` contents, otherwise they are estimated from a part of the contents with all their
    copies. What is returned has `profile`, from which `profile_text` makes a file; what it has an
    `error` of is one standard error.

    Raises ValueError for what is not accepted and where there is nothing to measure, and OSError
    for a path that cannot be read. Files of a folder that cannot be read are left out and counted.

    Parameters
    ----------
    paths
        Files, folders (all regular files in them, none twice, without following links) and block
        devices. The last block of a file is filled up with zeros.
    unit
        Bytes of a block: a multiple of 512, at most 16 MiB.
    earlier
        What the only one of the paths was like earlier: a file for a file, a folder for a folder.
        Blocks at the same place of files with the same name are compared; a block that is there
        in one of them only is changed.
    sample
        The part of the contents that are compressed, chosen by their fingerprints.
    codec
        A codec of `analyze`.
    contents_max
        Contents that are counted one by one; each takes some 150 bytes.
    threads
        How many work at the same time; as many as there are processors if it is not given.
    progress
        Is called with the bytes done and all bytes, now and then.
    """
    if not 512 <= unit <= UNIT_MAX or unit % 512:
        raise refusal("unit", unit, "a multiple of 512 up to 16 MiB")
    if codec not in (*CODECS, *MORE_CODECS):
        raise refusal("codec", codec, " or ".join((*CODECS, *MORE_CODECS)))
    if not 0 < sample <= 1:
        raise refusal("sample", sample, "a part above 0 and up to 1")
    if contents_max < 16:
        raise refusal("contents_max", contents_max, "16 at least")
    given = [Path(path) for path in paths]
    before = None if earlier is None else _earlier(given, Path(earlier))
    # Twice: a list of all files would take more memory than everything else.
    total = sum(pair.size + pair.earlier_size for pair in _pairs(given, before, _Lost()))
    lost = _Lost(is_told=True)
    contents = Contents(contents_max)
    look = functools.partial(
        _look, unit=unit, contents=contents, bound=int(sample * _SPACE), codec=codec,
        is_compared=before is not None,
    )  # fmt: skip
    ratios: dict[int, list[float]] = {}
    whole, done = _Seen(), 0
    for batch, seen in _looked(look, _batches(_pairs(given, before, lost), unit), threads):
        weight = max(1 / sample, contents.weight)
        for fingerprint in seen.fingerprints:
            if contents.add(fingerprint) and fingerprint in seen.stored:
                _add_ratio(ratios, unit, seen.stored[fingerprint], weight)
        contents.shrink()
        for name in ("files", "bytes", "blocks", "zeros", "places", "changed"):
            setattr(whole, name, getattr(whole, name) + getattr(seen, name))
        done += sum(piece.size + piece.earlier_size for piece in batch)
        if progress is not None:
            progress(min(done, total), total)
    if whole.blocks == 0:
        raise ValueError("nothing to measure: no file that can be read has a byte in it")
    measured: dict[str, Any] = {
        "format": FORMAT,
        "paths": [os.path.abspath(path) for path in paths],  # noqa: PTH100 (links stay)
        "files": whole.files,
        "files_left_out": lost.count,
        "bytes": whole.bytes,
        "unit": unit,
        "blocks": whole.blocks,
        "zeros": {"blocks": whole.zeros, "share": whole.zeros / whole.blocks},
        "copies": _copies(contents, whole.blocks - whole.zeros, whole.blocks),
        "compression": _compression(ratios, codec, unit),
        "change": None,
    }
    if before is not None:
        rate = whole.changed / whole.places if whole.places else 0.0
        measured["change"] = {
            "places": whole.places, "changed": whole.changed, "rate": rate,
        }  # fmt: skip
    measured["profile"], measured["makes"] = _profile(measured)
    return measured


def _earlier(paths: Sequence[Path], earlier: Path) -> Path:
    if len(paths) != 1:
        raise ValueError("earlier: one path is compared with what it was earlier; give one")
    if earlier.is_dir() != paths[0].is_dir():
        raise ValueError(f"earlier: '{earlier}' and '{paths[0]}' are not both folders or files")
    return earlier


class _Lost:
    """Counts what cannot be read below a folder."""

    def __init__(self, *, is_told: bool = False) -> None:
        self.count = 0
        self._is_told = is_told

    def __call__(self, error: OSError) -> None:
        self.count += 1
        if self._is_told:
            _log.warning("%s: left out: %s", error.filename, error.strerror)


def _pairs(paths: Sequence[Path], earlier: Path | None, lost: _Lost) -> Iterator[_Piece]:
    """Yield whole files, and what they were earlier, as one piece each."""
    for path in paths:
        for file, size in _files(path, lost):
            old = None
            if earlier is not None:
                old = earlier / file.relative_to(path) if path.is_dir() else earlier
            old_size = None if old is None else _size(old, lost)
            yield _Piece(file, None if old_size is None else old, 0, size, old_size or 0)
    if earlier is not None and earlier.is_dir():
        for old, old_size in _files(earlier, lost):
            if _size(paths[0] / old.relative_to(earlier), lost) is None:
                yield _Piece(None, old, 0, 0, old_size)


def _files(path: Path, lost: _Lost) -> Iterator[tuple[Path, int]]:
    """Yield a file or the regular files of a folder, and their lengths; raises OSError."""
    status = path.stat()
    if not stat.S_ISDIR(status.st_mode):
        yield path, _length(path, status)
        return
    # What has several names is one file.
    known: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(path, onerror=lost):
        folders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            try:
                status = file.lstat()
                if not stat.S_ISREG(status.st_mode):
                    continue
                if not os.access(file, os.R_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
            except OSError as error:
                lost(error)
                continue
            if status.st_nlink > 1:
                if (status.st_dev, status.st_ino) in known:
                    continue
                known.add((status.st_dev, status.st_ino))
            yield file, status.st_size


def _size(file: Path, lost: _Lost) -> int | None:
    """Return the length of a file that may be there."""
    try:
        status = file.lstat() if file.is_symlink() else file.stat()
        return _length(file, status) if not stat.S_ISLNK(status.st_mode) else None
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        lost(error)
        return None


def _length(path: Path, status: os.stat_result) -> int:
    if stat.S_ISREG(status.st_mode):
        return status.st_size
    if not stat.S_ISBLK(status.st_mode):
        raise ValueError(f"{path}: not a regular file, a folder or a block device")
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.lseek(opened, 0, os.SEEK_END)
    finally:
        os.close(opened)


def _batches(files: Iterator[_Piece], unit: int) -> Iterator[list[_Piece]]:
    """Yield pieces of all files, so many at once as make a batch."""
    step = max(unit, BATCH // unit * unit)
    batch: list[_Piece] = []
    length = 0
    for file in files:
        for start in range(0, max(file.size, file.earlier_size, 1), step):
            size = min(step, max(0, file.size - start))
            old_size = min(step, max(0, file.earlier_size - start))
            batch.append(_Piece(file.path, file.earlier, start, size, old_size))
            length += max(size, old_size)
            if length >= BATCH or len(batch) >= 1024:
                yield batch
                batch, length = [], 0
    if batch:
        yield batch


def _looked(
    look: Callable[[list[_Piece]], _Seen], batches: Iterator[list[_Piece]], threads: int | None
) -> Iterator[tuple[list[_Piece], _Seen]]:
    threads = threads or len(os.sched_getaffinity(0))
    # Hashes and compressors work without Python's lock.
    with ThreadPoolExecutor(threads) as pool:
        waiting: list[tuple[list[_Piece], Future[_Seen]]] = []
        for batch in batches:
            waiting.append((batch, pool.submit(look, batch)))
            if len(waiting) >= 2 * threads:
                first, found = waiting.pop(0)
                yield first, found.result()
        for batch, found in waiting:
            yield batch, found.result()


def _look(
    batch: list[_Piece], unit: int, contents: Contents, bound: int, codec: str, is_compared: bool
) -> _Seen:
    seen = _Seen()
    blank = bytes(unit)
    known, compress = contents.counts, compressor(codec)
    for piece in batch:
        seen.files += piece.path is not None and piece.start == 0
        blocks, length = _blocks(piece.path, piece.start, piece.size, unit)
        seen.bytes += length
        seen.blocks += len(blocks)
        for block in blocks:
            if block == blank:
                seen.zeros += 1
                continue
            digest = hashlib.blake2b(block, digest_size=8).digest()
            fingerprint = int.from_bytes(digest, "little")
            seen.fingerprints.append(fingerprint)
            # What is new is compressed once, or seldom by two threads.
            is_wanted = fingerprint < contents.limit and fingerprint < bound
            if is_wanted and fingerprint not in known and fingerprint not in seen.stored:
                seen.stored[fingerprint] = len(compress(memoryview(block)))
        if is_compared:
            old, _ = _blocks(piece.earlier, piece.start, piece.earlier_size, unit)
            for here, there in zip_longest(blocks, old, fillvalue=blank):
                seen.places += here != blank or there != blank
                seen.changed += here != there
    return seen


def _blocks(path: Path | None, start: int, length: int, unit: int) -> tuple[list[bytes], int]:
    """Return the blocks of a part of a file, the last one filled up, and the bytes it has."""
    if path is None or length == 0:
        return [], 0
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        parts: list[bytes] = []
        left = length
        while left and (part := file.read(left)):
            parts.append(part)
            left -= len(part)
    data = b"".join(parts)
    blocks = [data[place : place + unit] for place in range(0, len(data), unit)]
    if blocks:
        blocks[-1] = blocks[-1].ljust(unit, b"\0")
    return blocks, len(data)


def _add_ratio(ratios: dict[int, list[float]], unit: int, stored: int, weight: float) -> None:
    """Count a content: weight, weighted bytes that are left of it, variance of the weight."""
    place = 0 if stored >= unit else 1 + int(math.log(unit / stored) / _STEP)
    found = ratios.setdefault(place, [0.0, 0.0, 0.0, 0.0])
    found[0] += weight
    found[1] += weight * min(stored, unit)
    found[2] += weight * weight
    found[3] += 1


def _copies(contents: Contents, blocks: int, all_blocks: int) -> dict[str, Any]:
    """Return how contents are copied: exact, or estimated so that all blocks are what they are."""
    found = contents.distribution()
    held = {copies: copies * count for copies, (count, _) in found.items()}
    variances = {copies: copies**2 * variance for copies, (_, variance) in found.items()}
    noise = sum(variances.values())
    missing = blocks - sum(held.values())
    distribution = []
    for copies in sorted(found):
        # What is missing is shared by what may be wrong: the best linear estimate.
        part = variances[copies] / noise if noise else 0.0
        estimate = max(0.0, held[copies] + missing * part)
        error = math.sqrt(variances[copies] * (1 - part))
        distribution.append(
            {
                "copies": copies,
                "contents": estimate / copies,
                "blocks": estimate,
                "share": estimate / all_blocks,
                "error": error / all_blocks,
            }
        )
    all_contents = sum(each["contents"] for each in distribution)
    return {
        "contents": all_contents,
        "contents_counted": len(contents.counts),
        "part": contents.limit / _SPACE,
        "dedup_ratio": blocks / all_contents if all_contents else 1.0,
        "distribution": distribution,
    }


def _compression(ratios: dict[int, list[float]], codec: str, unit: int) -> dict[str, Any]:
    """Return how contents compress: in classes, each with its share of contents and its error."""
    grain = 1024 if unit % 1024 == 0 else 512
    # FORMAT.md, section 2.
    most = 1000 * grain // (grain // 256 + 4 + 8) / 1000
    places = sorted(ratios)
    found = [(ratios[at][0] * unit, ratios[at][1], ratios[at][0]) for at in places]
    weight = sum(each[0] for each in ratios.values())
    variance = _variance(ratios, places)
    classes = []
    for ratio, share, group in ratio_classes(found, most) if found else []:
        here = _variance(ratios, [places[index] for index in group])
        part = share / WHOLE
        spread = (1 - part) ** 2 * here + part**2 * (variance - here)
        classes.append(
            {
                "ratio": ratio / 1000,
                "share": part,
                "error": math.sqrt(max(0.0, spread)) / weight,
            }
        )
    stored = sum(each[1] for each in ratios.values())
    return {
        "codec": codec,
        "contents_compressed": int(sum(each[3] for each in ratios.values())),
        "ratio": weight * unit / stored if stored else 1.0,
        "ratio_max": most,
        "classes": classes,
        "distribution": [
            {"ratio": before / after, "share": count / weight} for before, after, count in found
        ],
    }


def _variance(ratios: dict[int, list[float]], places: Sequence[int]) -> float:
    """Return the variance of how many contents there are, of those that were chosen."""
    return sum(ratios[at][2] - ratios[at][0] for at in places)


def _profile(measured: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of a profile, and what they make of as many blocks."""
    blocks = measured["blocks"]
    zeros = round(measured["zeros"]["share"] * WHOLE)
    distribution = measured["copies"]["distribution"]
    shares = copy_classes(
        {each["copies"]: each["contents"] for each in distribution}, blocks, zeros
    )
    profile: dict[str, Any] = {"dedup_unit": exact_size(measured["unit"])}
    if zeros:
        profile["zeros"] = per_cent(zeros)
    if shares:
        profile["copies"] = [f"{copies}:{per_cent(share)}" for copies, share in shares]
    classes = measured["compression"]["classes"]
    if classes:
        profile["compress_mix"] = [
            f"{thousandths(round(1000 * each['ratio']))}:{per_cent(round(WHOLE * each['share']))}"
            for each in classes
        ]
    change = measured["change"]
    if change and round(change["rate"] * WHOLE):
        profile["change"] = per_cent(round(change["rate"] * WHOLE))
    blank, classes = made(shares, zeros, blocks)
    contents = sum(count for _, count in classes)
    makes = {
        "zeros": blank,
        "contents": contents,
        "dedup_ratio": (blocks - blank) / contents if contents else 1.0,
        "copies": [{"copies": copies, "contents": count} for copies, count in classes],
    }
    return profile, makes


def profile_text(measured: dict[str, Any], name: str) -> str:
    """Return a profile as a file: what to make, and where it is from."""
    copies, compression = measured["copies"], measured["compression"]
    change, makes = measured["change"], measured["makes"]
    paths = ", ".join(measured["paths"])
    size = _native.format_size(measured["bytes"])
    exact = "all contents were counted"
    if copies["part"] < 1:
        worst = max((each["error"] for each in copies["distribution"]), default=0)
        exact = (
            f"{copies['contents_counted']} contents were counted, chosen by fingerprint "
            f"({copies['part']:.4%} of them, and those with the most copies); the standard error "
            f"of a number of copies is at most {worst:.4%} of all blocks"
        )
    told = [
        f"{measured['files']} files or devices, {size}, in blocks of {measured['unit']} bytes: "
        f"{measured['blocks']} blocks, {measured['zeros']['blocks']} of them zeros",
        f"copies: {copies['contents']:.0f} contents, dedup ratio {copies['dedup_ratio']:.4f} "
        f"without zeros; {exact}",
        f"of so many blocks this makes {makes['contents']} contents, "
        f"dedup ratio {makes['dedup_ratio']:.4f}",
    ]
    if measured["files_left_out"]:
        told.append(f"{measured['files_left_out']} files or folders could not be read")
    if compression["classes"]:
        worst = max(each["error"] for each in compression["classes"])
        told.append(
            f"compress_mix: {compression['contents_compressed']} contents compressed with "
            f"{compression['codec']}, each alone, ratio {compression['ratio']:.3f} together; the "
            f"standard error of a share is at most {worst:.4%}"
        )
    if change:
        told.append(
            f"change: {change['changed']} of {change['places']} blocks differ from those at the "
            f"same place in the earlier snapshot, or are in one only"
        )
    assumed = [
        "copies are scattered block by block (run 1)",
        f"nothing compresses more than {compression['ratio_max']:g}",
    ]
    if change:
        assumed.append("changes go round all contents; blocks that move count as changed")
    content: dict[str, Any] = {
        "name": name,
        "about": f"Measured with dgen analyze: {size}, dedup {copies['dedup_ratio']:.2f}.",
        "source": paths,
        "measured": told,
        "assumed": assumed,
        **measured["profile"],
    }
    return f"{MARK} of dgen-mpi.\n{dump(content)}"


def table(measured: dict[str, Any]) -> Table:
    """Return a table for people of what was measured, beside what the profile makes."""
    table = new_table(["measure"], ("measured", "error", "made"))
    blocks, makes = measured["blocks"], measured["makes"]
    by_copies = {each["copies"]: each["copies"] * each["contents"] for each in makes["copies"]}
    zeros = measured["zeros"]["share"]
    table.add_row("zeros", f"{zeros:.4%}", "", f"{makes['zeros'] / blocks:.4%}")
    copies = measured["copies"]
    table.add_row(
        "dedup ratio, without zeros",
        f"{copies['dedup_ratio']:.4f}",
        "",
        f"{makes['dedup_ratio']:.4f}",
    )
    listed = sorted(copies["distribution"], key=lambda each: -each["share"])[:10]
    for each in sorted(listed, key=lambda each: int(each["copies"])):
        held = by_copies.get(each["copies"], 0)
        name = "one copy" if each["copies"] == 1 else f"{each['copies']} copies"
        error = f"{each['error']:.4%}" if each["error"] else ""
        table.add_row(name, f"{each['share']:.4%}", error, f"{held / blocks:.4%}")
    compression = measured["compression"]
    for each in compression["classes"]:
        error = f"{each['error']:.4%}" if each["error"] else ""
        name = f"contents of ratio {each['ratio']:g}, {compression['codec']}"
        table.add_row(name, f"{each['share']:.4%}", error, f"{each['share']:.4%}")
    if change := measured["change"]:
        table.add_row("change", f"{change['rate']:.4%}", "", "")
    return table


def draw(measured: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Draw copies and ratios, measured beside made, PNG or SVG by the suffix; raises OSError."""
    from dgen_mpi import plots

    plots.draw_profile(measured, path)
