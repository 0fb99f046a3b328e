# SPDX-License-Identifier: MIT OR Apache-2.0
"""A data set as a file that can be read."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from dgen_mpi import _native
from dgen_mpi._arguments import refusal
from dgen_mpi._sharing import Lock

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from dgen_mpi.spec import DataSpec


class DataReader(io.RawIOBase):
    """A data set as a binary file: for whatever uploads, copies or hashes a stream.

    Unbuffered: every `readinto` fills the caller's memory directly. Seeking costs nothing. A reader
    has a place of its own; readers may share a data set. Threads may share a reader: each call gets
    bytes, or a line, of its own, and all of them together get every byte once.

    Examples
    --------
    >>> import hashlib, shutil
    >>> from dgen_mpi import DataSpec
    >>> with DataReader(DataSpec(1000, seed=1)) as source, open("/dev/null", "wb") as target:
    ...     shutil.copyfileobj(source, target)
    """

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec
        # What comes next, and what guards it: bytes are made without the lock.
        self._position = 0
        self._lock = Lock()

    def _require_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on a closed reader")

    def readable(self) -> bool:
        """Tell that this can be read."""
        self._require_open()
        return True

    def seekable(self) -> bool:
        """Tell that this can go elsewhere."""
        self._require_open()
        return True

    def tell(self) -> int:
        """Return the offset of the next byte."""
        self._require_open()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go elsewhere, also past the end, where there is nothing to read.

        Raises ValueError for a place before the start, and for another `whence` than those of `io`.
        """
        with self._lock:
            self._require_open()
            bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.spec.size}
            if whence not in bases:
                raise refusal("whence", whence, "0, 1 or 2")
            if bases[whence] + offset < 0:
                raise refusal("offset", offset, f"{-bases[whence]} or more")
            self._position = bases[whence] + offset
            return self._position

    def _take(self, count: int) -> tuple[int, int]:
        """Take the next bytes, `count` at most; return their offset and number."""
        start = min(self._position, self.spec.size)
        count = min(count, self.spec.size - start)
        self._position += count
        return start, count

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer, as for `DataSpec.fill`, and return how many bytes it got: 0 at the end."""
        self._require_open()
        length = _native.length(buffer)
        with self._lock:
            start, count = self._take(length)
        return self.spec._source.fill(buffer, start, count)

    def readall(self) -> bytes:
        """Return all bytes that are left."""
        with self._lock:
            self._require_open()
            view = _native.allocate(max(0, self.spec.size - self._position))
            start, count = self._take(len(view))
        self.spec._source.fill(view, start, count)
        return bytes(view)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the bytes up to the next line feed, `size` at most."""
        with self._lock:
            return super().readline(size)
