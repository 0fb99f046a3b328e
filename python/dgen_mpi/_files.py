# SPDX-License-Identifier: MIT OR Apache-2.0
"""Files: those that hold a data set, one or a shard for each rank, and those that are written."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import stat
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


def replace(path: str | os.PathLike[str], text: str, *, is_new: bool = False) -> None:
    """Write a text file whole or not at all.

    A file that is there keeps its mode; links stay, and what they lead to is replaced. What is no
    regular file, such as a terminal or a pipe, is written to.

    Parameters
    ----------
    path
        The file.
    text
        What is in it afterwards.
    is_new
        Whether a file that is there is left as it is.

    Raises
    ------
    OSError
        With the name of the file; what was there before is as it was. `FileExistsError` where
        something is there and `is_new` is set.
    """
    try:
        _replace(path if is_new else _followed(Path(path)), text.encode(), is_new=is_new)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def _followed(path: Path) -> Path:
    """Return what a link leads to, as the kernel would follow it.

    In a folder that all may write to and that is sticky, such as /tmp, only one's own links and
    those of the folder's owner are.
    """
    for _ in range(40):
        if not path.is_symlink():
            return path
        folder = path.parent.stat()
        is_shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
        if is_shared and path.lstat().st_uid not in (os.geteuid(), folder.st_uid):
            raise PermissionError(errno.EACCES, "a link of another user")
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _replace(path: str | os.PathLike[str], content: bytes, *, is_new: bool) -> None:
    path = Path(path)
    old = None
    with contextlib.suppress(FileNotFoundError):
        old = path.lstat()
    if old is not None and is_new:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    if old is not None and not stat.S_ISREG(old.st_mode):
        with path.open("wb") as file:
            file.write(content)
        return
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o666 if old is None else 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if old is not None:
                with contextlib.suppress(OSError):
                    os.fchown(descriptor, old.st_uid, old.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & 0o777)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        if is_new and path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
