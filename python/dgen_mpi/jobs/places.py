# SPDX-License-Identifier: MIT OR Apache-2.0
"""Which files jobs write: two that would write one file are found, however it is spelled."""

from __future__ import annotations

import array
import contextlib
import fcntl
import functools
import os
import re
import stat
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from dgen_mpi.jobs.files import JobError
from dgen_mpi.jobs.model import IN_PLACE, Job
from dgen_mpi.manifest import PER_RANK_DIGITS, beside, shard_path

_SHARD = re.compile(rf"(.+)\.[0-9]{{{PER_RANK_DIGITS},}}", re.DOTALL)

# From linux/fs.h: asks for the attributes of a folder, and the one of names in any case.
_GET_FLAGS = 0x80086601
_CASEFOLD = 0x40000000


def _keeps_nothing(path: Path) -> bool:
    """Return whether a path is that of /dev/null, which everybody may write at once."""
    with contextlib.suppress(OSError):
        status = path.stat()
        return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3)
    return False


class _Owner(NamedTuple):
    """Whose a file is, or what it is needed as, and of which data set it is a part."""

    name: str
    part_of: Hashable = None
    is_needed: bool = False


class _Places:
    """Files by where they are: spellings, links, mounts and the case of letters make no difference.

    What is not there yet is known by the nearest folder that is. Each folder is looked at once.
    Refusals begin with `where`.
    """

    def __init__(self, where: str = "") -> None:
        self._where = where
        self._files: dict[Hashable, _Owner] = {}
        # Data sets of a file for each rank, and files that have the name of one of a rank.
        self._sets: dict[Hashable, _Owner] = {}
        self._shards: dict[Hashable, _Owner] = {}
        self._real_folder = functools.cache(_real)
        self._ignores_case = functools.cache(ignores_case)
        self._folder = functools.cache(self._identified)
        self._rank_files = functools.cache(_rank_files)

    def _identified(self, folder: Path) -> tuple[Hashable, bool]:
        """Return what a folder is known by, and whether names in it are the same in any case."""
        for there in (folder, *folder.parents):
            with contextlib.suppress(OSError):
                status = there.stat()
                folds = self._ignores_case(there)
                missing = str(folder.relative_to(there))
                place = (status.st_dev, status.st_ino, missing.casefold() if folds else missing)
                return place, folds
        return str(folder), False

    def _named(self, path: Path) -> Hashable:
        """Return the folder and name of a file; links are not followed at its end."""
        identity, folds = self._folder(self._real_folder(path.parent))
        return identity, path.name.casefold() if folds else path.name

    def _resolved(self, path: Path) -> Path:
        if path.name in ("", "..") or path.is_symlink():
            return _real(path)
        return self._real_folder(path.parent) / path.name

    def keys(self, path: Path) -> list[Hashable]:
        """Return what a file is known by: folder and name, and its number where it is there."""
        real = self._resolved(path)
        found = [self._named(real)]
        with contextlib.suppress(OSError):
            status = real.stat()
            found.append((status.st_dev, status.st_ino))
        return found

    def claim(self, path: Path, owner: _Owner) -> None:
        """Have a file belong to an owner; raises `JobError` where it is another one's."""
        for key in self.keys(path):
            self._require_same(self._files.setdefault(key, owner), owner, path)
        real = self._resolved(path)
        if shard := _SHARD.fullmatch(real.name):
            key = self._named(real.with_name(shard[1]))
            self._shards.setdefault(key, owner)
            self._require_same(self._sets.get(key, owner), owner, path)

    def claim_output(self, job: Job, name: str) -> None:
        """Have all files that a job writes belong to it, as `claim` does."""
        if job.output is None or not (job.writes or job.operation in IN_PLACE):
            return
        work = Path(job.working_directory or ".")
        output = work / job.output
        if _keeps_nothing(output):
            return
        owner = _Owner(name, self.keys(output)[0])
        paths = [beside(output)] if job.layout == "per-rank" else [output, beside(output)]
        if job.manifest is not None:
            paths.append(work / job.manifest)
        # A repair, or a write that goes on, may find either layout.
        is_open = job.layout is None and (job.operation in IN_PLACE or job.resume)
        if job.layout == "per-rank" or is_open:
            # These names are made of the path as it is given, not of what it leads to.
            key = self._named(output)
            for other in (self._shards.get(key, owner), self._sets.setdefault(key, owner)):
                self._require_same(other, owner, shard_path(output, 0))
            paths += self._rank_files(output.parent).get(output.name, [])
        for path in paths:
            self.claim(path, owner)

    def _require_same(self, owner: _Owner, other: _Owner, path: Path) -> None:
        if owner == other:
            return
        if owner.is_needed:
            reason = f"of {other.name} is {owner.name}"
        elif owner.name == other.name:
            reason = f"belongs to two outputs of {owner.name}; give another name to one"
        else:
            reason = f"is written by {owner.name} and {other.name}; put {{name}} into it"
        raise JobError(f"{self._where}: output: '{path}' {reason}")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _rank_files(folder: Path) -> dict[str, list[Path]]:
    """Return the files of ranks in a folder, which may be links, by the names of their data."""
    found: dict[str, list[Path]] = {}
    with contextlib.suppress(OSError):
        for other in folder.iterdir():
            if shard := _SHARD.fullmatch(other.name):
                found.setdefault(shard[1], []).append(other)
    return found


def ignores_case(folder: Path) -> bool:
    """Return whether a folder finds its files under names in other letters, as far as one can tell.

    Nothing is written for it.
    """
    flags = array.array("i", [0, 0])
    # A file system may have no such attributes.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, _GET_FLAGS, flags, True)
        finally:
            os.close(descriptor)
    if flags[0] & _CASEFOLD:
        return True
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        names = (entry.name for entry in entries)
        name = next((name for name in names if name.swapcase() != name), None)
        if name is not None:
            return (folder / name).samefile(folder / name.swapcase())
    return False


def needed_files(cases: Iterable[tuple[str, Iterable[Job]]]) -> Iterator[tuple[Path, str]]:
    """Yield the files that jobs of cases need before they start, and what they are."""
    for name, jobs in cases:
        for job in jobs:
            work = Path(job.working_directory or ".")
            if job.hints_file is not None:
                yield work / job.hints_file, f"the hints file of {name}"
            if job.program is not None and "/" in job.program:
                yield work / job.program, f"the program of {name}"


def refuse_clashes(
    cases: Iterable[tuple[str, Iterable[Job]]],
    where: str,
    taken: Iterable[tuple[str, str]] = (),
) -> None:
    """Refuse cases that would write over each other's files: they may run at the same time.

    Cases are given by their names and jobs; the work grows with them, not with their square. Raises
    `JobError` for the first file that two would write, or that one would and another needs. Nor may
    any write those of `taken`: paths, and what they are.
    """
    places = _Places(where)
    listed = [(name, list(jobs)) for name, jobs in cases]
    for path, what in [*((Path(path), what) for path, what in taken), *needed_files(listed)]:
        # One file may be needed more than once.
        with contextlib.suppress(JobError):
            places.claim(path, _Owner(what, is_needed=True))
    for name, jobs in listed:
        for job in jobs:
            places.claim_output(job, name)


def is_same_file(first: str | Path, second: str | Path) -> bool:
    """Return whether two paths are one file, or would be once it is there."""
    places = _Places()
    return bool(set(places.keys(Path(first))) & set(places.keys(Path(second))))
