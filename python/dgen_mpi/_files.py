# SPDX-License-Identifier: MIT OR Apache-2.0
"""Files that are read and written: whole, bounded, and none that is not regular by mistake."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import select
import stat
import time
from pathlib import Path

PIPE_SECONDS_MAX = 10
"""How long a pipe that is read may take."""


def read_text(path: str | os.PathLike[str], bytes_max: int, *, may_be_pipe: bool = False) -> str:
    """Return the text of a small file, with line ends as they are.

    Raises OSError for what cannot be read, for what `open_data` refuses, and for a pipe, such as a
    shell's ``<(...)``, that does not end within 10 seconds; ValueError for more than `bytes_max`
    bytes and for what is no UTF-8, in a message that does not name the file.
    """
    content = bytearray()
    with open_data(path, may_be_pipe=may_be_pipe) as file:
        is_pipe = stat.S_ISFIFO(os.fstat(file.fileno()).st_mode)
        end = time.monotonic() + PIPE_SECONDS_MAX if is_pipe else None
        while part := _read(file.fileno(), end, path):
            content += part
            if len(content) > bytes_max:
                raise ValueError(f"larger than {bytes_max} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8") from error


def open_data(path: str | os.PathLike[str], *, may_be_pipe: bool = False) -> io.FileIO:
    """Return an open file without a buffer, which never waits.

    Raises OSError for anything but a regular file, ``/dev/null`` and, where it may be, a pipe.
    """
    # Asked before it is opened: to open some devices does something.
    _require_readable(Path(path).stat(), path, may_be_pipe)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    file = io.FileIO(os.open(path, flags), "rb")
    try:
        # Whatever has come to be there meanwhile.
        _require_readable(os.fstat(file.fileno()), path, may_be_pipe)
    except OSError:
        file.close()
        raise
    return file


def _require_readable(
    status: os.stat_result, path: str | os.PathLike[str], may_be_pipe: bool
) -> None:
    mode = status.st_mode
    is_null = stat.S_ISCHR(mode) and status.st_rdev == os.makedev(1, 3)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not (stat.S_ISREG(mode) or is_null or (may_be_pipe and stat.S_ISFIFO(mode))):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))


def _read(file: int, end: float | None, path: str | os.PathLike[str]) -> bytes:
    """Return what comes next, nothing at the end; of a pipe before the time `end`."""
    if end is not None:
        waiting = select.poll()
        waiting.register(file, select.POLLIN)
        left = end - time.monotonic()
        if left <= 0 or not waiting.poll(1000 * left):
            problem = f"a pipe that does not end within {PIPE_SECONDS_MAX} s"
            raise TimeoutError(errno.ETIMEDOUT, problem, os.fspath(path))
    return os.read(file, 1 << 16)


def open_own(path: Path) -> int:
    """Open a file of ours to add to its end, made if it is not there; return its descriptor.

    Neither a link is followed, which may lead to a file of somebody else, nor a pipe waited for.
    Raises OSError for what is no regular file, too.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    opened = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(errno.EEXIST, "not a regular file", str(path))
    return opened


def replace(
    path: str | os.PathLike[str], text: str, *, is_new: bool = False, is_stored: bool = False
) -> None:
    """Write a text file whole or not at all.

    A file that is there keeps its mode; links stay, and what they lead to is replaced. What is no
    regular file, such as a terminal or a pipe, is written to, but no disk. Where it `is_new`, a
    file that is there is left as it is; where it `is_stored`, it is on stable storage before it
    takes the place of the old one.

    Raises OSError with the name of the file, and then what was there before is as it was:
    `FileExistsError` where something is there and it should be new.
    """
    try:
        wanted = Path(path) if is_new else _followed(Path(path))
        _replace(wanted, text.encode(), is_new=is_new, is_stored=is_stored)
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


def _replace(path: Path, content: bytes, *, is_new: bool, is_stored: bool) -> None:
    old = None
    with contextlib.suppress(FileNotFoundError):
        old = path.lstat()
    if old is not None and is_new:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    if old is not None and stat.S_ISBLK(old.st_mode):
        raise OSError(errno.EINVAL, "is a block device")
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
            if is_stored:
                os.fsync(descriptor)
        if is_new and path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
