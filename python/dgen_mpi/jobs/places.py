# SPDX-License-Identifier: MIT OR Apache-2.0
"""Which files jobs write: two that would write one file are found, however it is spelled."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import re
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from dgen_mpi.jobs.model import Job
from dgen_mpi.manifest import PER_RANK_DIGITS, beside, shard_path

_SHARD = re.compile(rf"(.+)\.[0-9]{{{PER_RANK_DIGITS},}}", re.DOTALL)

# From linux/fs.h: asks for the attributes of a folder, and the one of names in any case.
_GET_FLAGS = 0x80086601
_CASEFOLD = 0x40000000


class Clash(NamedTuple):
    """Two that would write one file."""

    path: Path
    """What the second one writes."""
    first: str
    """Who writes it too, or what it is needed as."""
    second: str
    is_needed: bool


class _Owner(NamedTuple):
    """Whose a file is, and of which data set it is a part."""

    name: str
    part_of: Hashable = None
    is_needed: bool = False


class _Named(NamedTuple):
    """A name in a folder, which is known by its numbers, or by its name in one that is there."""

    folder: Hashable
    name: str


class _Places:
    """Files by where they are: spellings, links, mounts and the case of letters make no difference.

    What is not there yet is known by the nearest folder that is.
    """

    def __init__(self) -> None:
        self._files: dict[Hashable, _Owner] = {}
        # Data sets of a file for each rank, and files that have the name of one of a rank.
        self._sets: dict[_Named, _Owner] = {}
        self._shards: dict[_Named, _Owner] = {}
        self._real_folders: dict[Path, Path] = {}
        self._folders: dict[Path, tuple[Hashable, bool]] = {}
        self._listed: dict[Path, dict[str, list[Path]]] = {}

    def named(self, path: Path) -> _Named:
        """Return the folder and name of a file; links are not followed at its end."""
        identity, folds = self._folder(self._real_folder(path.parent))
        return _Named(identity, path.name.casefold() if folds else path.name)

    def keys(self, path: Path) -> list[Hashable]:
        """Return what a file is known by: folder and name, and its number where it is there."""
        real = self._real(path)
        found: list[Hashable] = [self.named(real)]
        with contextlib.suppress(OSError):
            status = real.stat()
            found.append((status.st_dev, status.st_ino))
        return found

    def _real(self, path: Path) -> Path:
        """Return a path without links; folders are looked for once."""
        if path.name in ("", "..") or path.is_symlink():
            return Path(os.path.realpath(path))
        return self._real_folder(path.parent) / path.name

    def _real_folder(self, path: Path) -> Path:
        if path not in self._real_folders:
            self._real_folders[path] = Path(os.path.realpath(path))
        return self._real_folders[path]

    def claim(self, path: Path, owner: _Owner) -> Clash | None:
        """Have a file belong to an owner; returns who has it already."""
        for key in self.keys(path):
            other = self._files.setdefault(key, owner)
            if other != owner:
                return Clash(path, other.name, owner.name, other.is_needed)
        real = self._real(path)
        shard = _SHARD.fullmatch(real.name)
        if shard is None:
            return None
        key = self.named(real.with_name(shard[1]))
        self._shards.setdefault(key, owner)
        other = self._sets.get(key, owner)
        if other != owner:
            return Clash(path, other.name, owner.name, other.is_needed)
        return None

    def claim_output(self, job: Job, name: str) -> Clash | None:
        """Have all files that a job writes belong to it; returns who has one already."""
        if job.output is None or not (job.writes or job.operation == "repair"):
            return None
        output = Path(job.working_directory or ".") / job.output
        owner = _Owner(name, self.keys(output)[0])
        paths = [beside(output)]
        if job.layout != "per-rank":
            paths.insert(0, output)
        # A repair, or a write that goes on, may find either layout.
        is_open = job.layout is None and (job.operation == "repair" or job.resume)
        if job.layout == "per-rank" or is_open:
            # These names are made of the path as it is given, not of what it leads to.
            key = self.named(output)
            for other in (self._shards.get(key, owner), self._sets.setdefault(key, owner)):
                if other != owner:
                    return Clash(shard_path(output, 0), other.name, name, other.is_needed)
            paths += self._existing_shards(output)
        for path in paths:
            clash = self.claim(path, owner)
            if clash is not None:
                return clash
        return None

    def _existing_shards(self, output: Path) -> list[Path]:
        """Return the files of ranks that are there: they may be links."""
        folder = output.parent
        if folder not in self._listed:
            found: dict[str, list[Path]] = {}
            with contextlib.suppress(OSError):
                for other in folder.iterdir():
                    shard = _SHARD.fullmatch(other.name)
                    if shard is not None:
                        found.setdefault(shard[1], []).append(other)
            self._listed[folder] = found
        return self._listed[folder].get(output.name, [])

    def _folder(self, path: Path) -> tuple[Hashable, bool]:
        """Return what a folder is known by, and whether names in it are the same in any case."""
        if path not in self._folders:
            try:
                status = path.stat()
                found: tuple[Hashable, bool] = (
                    (status.st_dev, status.st_ino),
                    ignores_case(path),
                )
            except OSError:
                if path.parent == path:
                    found = (str(path), False)
                else:
                    identity, folds = self._folder(path.parent)
                    name = path.name.casefold() if folds else path.name
                    found = (_Named(identity, name), folds)
            self._folders[path] = found
        return self._folders[path]


def ignores_case(folder: Path) -> bool:
    """Return whether a folder finds its files under names in other letters, as far as one can tell.

    Nothing is written for it.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        flags = array.array("i", [0, 0])
        # A file system may have no such attributes.
        with contextlib.suppress(OSError):
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


def clashes(
    cases: Iterable[tuple[str, Iterable[Job]]], taken: Iterable[tuple[str, str]] = ()
) -> Iterator[Clash]:
    """Yield where cases would write one file, or one that is needed for something else.

    Parameters
    ----------
    cases
        The name of each case, and its jobs.
    taken
        Paths that no case may write, and what they are.
    """
    places = _Places()
    listed = [(name, list(jobs)) for name, jobs in cases]
    # One file may be needed more than once.
    for path, what in [*((Path(path), what) for path, what in taken), *needed_files(listed)]:
        places.claim(path, _Owner(what, is_needed=True))
    for name, jobs in listed:
        for job in jobs:
            clash = places.claim_output(job, name)
            if clash is not None:
                yield clash


def is_same_file(first: str | Path, second: str | Path) -> bool:
    """Return whether two paths are one file, or would be once it is there."""
    places = _Places()
    return bool(set(places.keys(Path(first))) & set(places.keys(Path(second))))
