# SPDX-License-Identifier: MIT OR Apache-2.0
"""A data set as a file that can be read."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, NoReturn

from dgen_mpi import _native
from dgen_mpi._arguments import SizeLike, refusal, signed_size_of, size_of
from dgen_mpi._sharing import Lock
from dgen_mpi.spec import DataSpec

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def require_spec(spec: DataSpec) -> DataSpec:
    """Return a data set; raises TypeError for anything else."""
    if not isinstance(spec, DataSpec):
        raise TypeError(str(refusal("spec", spec, "a DataSpec")))
    return spec


def part_of(spec: DataSpec, offset: SizeLike, length: SizeLike | None) -> range:
    """Return a range of a data set; raises ValueError for one that goes past its end."""
    start = size_of(offset, "offset")
    if start > spec.size:
        raise refusal("offset", start, f"0 to {spec.size}")
    count = spec.size - start if length is None else size_of(length, "length")
    if count > spec.size - start:
        raise refusal("length", count, f"0 to {spec.size - start}")
    return range(start, start + count)


class DataReader(io.RawIOBase):
    """A data set as a binary file: for whatever uploads, copies or hashes a stream.

    Unbuffered: every `readinto` fills the caller's memory directly. Seeking costs nothing. A reader
    has a place of its own; readers may share a data set. Threads may share a reader: each call gets
    bytes, or a line, of its own, and all of them together get every byte once.

    It has a length, as encoders of forms with several parts want.

    Parameters
    ----------
    spec
        The data set.
    offset, length
        A range of it that is all of the file, such as a part of an upload: from `offset` to the end
        if no length is given. Places in the file count from there.

    Examples
    --------
    >>> import hashlib, shutil
    >>> from dgen_mpi import DataSpec
    >>> with DataReader(DataSpec(1000, seed=1)) as source, open("/dev/null", "wb") as target:
    ...     shutil.copyfileobj(source, target)
    """

    def __init__(
        self, spec: DataSpec, offset: SizeLike = 0, length: SizeLike | None = None
    ) -> None:
        super().__init__()
        self.spec = require_spec(spec)
        self._part = part_of(spec, offset, length)
        # What comes next, and what guards it: bytes are made without the lock.
        self._position = 0
        self._lock = Lock()

    def _require_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on a closed reader")

    def __len__(self) -> int:
        """Return the length of the file in bytes, wherever its place is."""
        return self._size

    def __bool__(self) -> bool:
        """Tell that there is a file, also where it is empty."""
        return True

    @property
    def _size(self) -> int:
        return self._part.stop - self._part.start

    def write(self, _buffer: object, /) -> NoReturn:
        """Raise `io.UnsupportedOperation`: a data set is what it is."""
        self._require_open()
        raise io.UnsupportedOperation("not writable: a DataReader is only read")

    def truncate(self, _size: int | None = None, /) -> NoReturn:
        """Raise `io.UnsupportedOperation`, as `write` does."""
        self.write(b"")

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

    def seek(self, offset: SizeLike, whence: int = os.SEEK_SET, /) -> int:
        """Go elsewhere, also past the end, where there is nothing to read.

        Raises ValueError for a place before the start, and for another `whence` than those of `io`;
        OverflowError for one from 2**63 on.
        """
        distance = signed_size_of(offset, "offset")
        with self._lock:
            self._require_open()
            bases = (0, self._position, self._size)
            if whence not in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
                raise refusal("whence", whence, "0, 1 or 2")
            if bases[whence] + distance < 0:
                raise refusal("offset", distance, f"{-bases[whence]} or more")
            self._position = size_of(bases[whence] + distance, "offset")
            return self._position

    def _take(self, count: int) -> tuple[int, int]:
        """Take the next bytes, `count` at most; return their offset in the data set and number."""
        start = min(self._position, self._size)
        count = min(count, self._size - start)
        self._position += count
        return self._part.start + start, count

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
            view = _native.allocate(max(0, self._size - self._position))
            start, count = self._take(len(view))
        self.spec._source.fill(view, start, count)
        return bytes(view)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the bytes up to the next line feed, `size` at most."""
        with self._lock:
            return super().readline(size)
