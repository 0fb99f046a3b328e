# SPDX-License-Identifier: MIT OR Apache-2.0
"""A data set as a file that can be read."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from dgen_mpi.spec import DataSpec


class DataReader(io.RawIOBase):
    """A data set as a binary file: for whatever uploads, copies or hashes a stream.

    Parameters
    ----------
    spec
        The data set.

    Notes
    -----
    Unbuffered: every `readinto` fills the caller's memory directly. Seeking costs nothing. A reader
    has a place of its own; readers may share a data set.

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
        self._position = 0

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

        Raises
        ------
        ValueError
            For a place before the start, and for another `whence` than those of `io`.
        """
        self._require_open()
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.spec.size}
        if whence not in bases:
            raise ValueError(f"whence: '{whence}' is not accepted; give 0, 1 or 2")
        if bases[whence] + offset < 0:
            raise ValueError(f"offset: '{offset}' is not accepted; that is before the start")
        self._position = bases[whence] + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer with the next bytes, and return how many: 0 at the end."""
        self._require_open()
        size = self.spec.size
        start = min(self._position, size)
        count = self.spec._source.fill(buffer, start, size - start)
        self._position += count
        return count
