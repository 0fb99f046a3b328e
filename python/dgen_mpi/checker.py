# SPDX-License-Identifier: MIT OR Apache-2.0
"""A file that compares what is written to it with a data set, and keeps nothing of it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NoReturn, SupportsIndex

from dgen_mpi._arguments import SEARCH_BYTES, SizeLike, count_of, seed_of, size_of
from dgen_mpi._native import UnsuitableBufferError
from dgen_mpi._sharing import Lock
from dgen_mpi.damage import Damage, DamagedRanges
from dgen_mpi.reader import part_of, require_spec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

    from dgen_mpi.spec import DataSpec

_STEP_BYTES = 4 << 20
"""So much is compared at once."""

_SEARCHES_MAX = 64
"""Where so many ranges are damaged, what nothing explains is looked for no more."""

_SAME = ("kind", "seed", "generation", "sampled")
"""What two neighbouring ranges have in common if they are one."""

_JOINED = ("zeros", "stale", "misplaced", "foreign")
"""The kinds of ranges of which a longer one is known as well."""


class DataChecker(io.RawIOBase):
    """A data set as a binary file to write to: for downloads, and whatever else gives a stream.

    What is written is compared with the bytes of the data set, at the speed of generation, and
    forgotten. Nothing that is wrong raises: `is_right` tells whether all of them came and are
    right, `damage` what is wrong. Threads may share a checker; each call is the next part.

    Parameters
    ----------
    spec
        The data set.
    offset, length
        The range of it that is written, all from `offset` on if no length is given.
    limit, also_known, search_bytes
        As in `DataSpec.compare`.

    Attributes
    ----------
    excess_bytes
        How many bytes came after the end.

    Examples
    --------
    >>> import shutil
    >>> from dgen_mpi import DataReader, DataSpec
    >>> spec = DataSpec(10_000, seed=1)
    >>> with DataChecker(spec) as target:
    ...     shutil.copyfileobj(DataReader(spec), target)
    >>> target.is_right
    True
    """

    def __init__(
        self,
        spec: DataSpec,
        offset: SizeLike = 0,
        length: SizeLike | None = None,
        *,
        limit: SupportsIndex = 1000,
        also_known: Iterable[SupportsIndex] = (),
        search_bytes: SizeLike = SEARCH_BYTES,
    ) -> None:
        super().__init__()
        self.spec = require_spec(spec)
        part = part_of(spec, offset, length)
        self._start = self._position = part.start
        self._end = part.stop
        self._limit = count_of(limit, "limit", least=1)
        self._known = tuple(map(seed_of, also_known))
        self._search_bytes = size_of(search_bytes, "search_bytes")
        self._lock = Lock()
        # Not compared yet: less than a step.
        self._waiting = bytearray()
        self._found = DamagedRanges([], 0, 0, 0)
        self.excess_bytes = 0

    def _require_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on a closed checker")

    def writable(self) -> bool:
        """Tell that this can be written to."""
        self._require_open()
        return True

    def read(self, _size: int = -1, /) -> NoReturn:
        """Raise `io.UnsupportedOperation`: nothing of what is written is kept."""
        self._require_open()
        raise io.UnsupportedOperation("not readable: a DataChecker is only written to")

    def readall(self) -> NoReturn:
        """Raise `io.UnsupportedOperation`, as `read` does."""
        self.read()

    def readinto(self, _buffer: object, /) -> NoReturn:
        """Raise `io.UnsupportedOperation`, as `read` does."""
        self.read()

    def tell(self) -> int:
        """Return how many bytes were written."""
        self._require_open()
        return self._position - self._start + self.excess_bytes

    def write(self, buffer: Buffer, /) -> int:
        """Compare the next bytes, and return how many: all.

        Raises `UnsuitableBufferError` for memory that is not in one piece.
        """
        with memoryview(buffer) as view, _bytes_of(view) as part, self._lock:
            self._require_open()
            count = min(len(part), self._end - self._position)
            self.excess_bytes += len(part) - count
            done = 0
            while done < count:
                # Steps end where they would if all came at once.
                wanted = _STEP_BYTES - (self._position - self._start) % _STEP_BYTES
                taken = min(wanted, count - done)
                piece = part[done : done + taken]
                if taken == _STEP_BYTES:
                    self._compare(piece, self._position)
                else:
                    self._waiting += piece
                self._position += taken
                done += taken
                if taken == wanted:
                    self._compare_waiting()
            return len(part)

    def _compare_waiting(self) -> None:
        waiting, self._waiting = self._waiting, bytearray()
        if waiting:
            self._compare(waiting, self._position - len(waiting))

    def _compare(self, part: Buffer, offset: int) -> None:
        room = max(0, self._limit - len(self._found))
        is_searched = room and self._found.range_count < _SEARCHES_MAX
        self._add(
            self.spec.compare(
                part,
                offset,
                # One more, that may be a part of the last.
                limit=room + 1,
                also_known=self._known,
                search_bytes=self._search_bytes if is_searched else 0,
            )
        )

    def _add(self, found: DamagedRanges) -> None:
        """Put what was found behind what is known; the last range may go on in it."""
        known = self._found
        last = known.last
        ranges = list(found)
        count = known.range_count + found.range_count
        length = known.range_bytes + found.range_bytes
        if last and ranges and self._goes_on(last, ranges[0]):
            joined = _join(last, ranges.pop(0))
            length += joined.bytes - last.bytes - found[0].bytes
            count -= 1
            if known and known[-1] is last:
                known[-1] = joined
            last = joined
        kept = [*known, *ranges[: max(0, self._limit - len(known))]]
        rest = found.last if found.range_count > 1 or ranges else None
        self._found = DamagedRanges(
            kept, count, length, known.wrong_bytes + found.wrong_bytes, rest or last
        )

    def _goes_on(self, last: Damage, first: Damage) -> bool:
        gap = first.offset - last.offset - last.bytes
        is_same = all(getattr(last, name) == getattr(first, name) for name in _SAME)
        places = [damage.offset - (damage.source_offset or 0) for damage in (last, first)]
        return (
            gap < self.spec.compress_unit
            and is_same
            and last.kind in _JOINED
            and (last.kind != "misplaced" or places[0] == places[1])
        )

    @property
    def damage(self) -> DamagedRanges:
        """What is wrong of that which was written until now; of all, once this is closed.

        Ranges are looked at in steps of 4 MiB: what goes on in the next as another kind is another
        range. What is missing at the end is one that is ``"truncated"``.
        """
        with self._lock:
            if not self.closed:
                self._compare_waiting()
            return self._found

    @property
    def missing_bytes(self) -> int:
        """How many bytes are still to come."""
        return self._end - self._position

    @property
    def is_right(self) -> bool:
        """Whether all bytes came, all of them are right, and none after them."""
        whole = self.missing_bytes == self.excess_bytes == 0
        return whole and self.damage.range_count == 0

    def close(self) -> None:
        """Compare what is left, and note what is missing."""
        if "_lock" not in vars(self):
            # Its arguments were refused; Python closes what it throws away.
            super().close()
            return
        with self._lock:
            # Another thread may have closed it meanwhile.
            if self.closed:
                return
            self._compare_waiting()
            if missing := self.missing_bytes:
                end = Damage(self._position, missing, missing, {"kind": "truncated"})
                self._add(DamagedRanges([end], 1, missing, missing))
            super().close()


def _bytes_of(view: memoryview) -> memoryview:
    """Return the bytes of a view of any shape."""
    if not view.c_contiguous:
        raise UnsuitableBufferError("the buffer must be in one piece in C order")
    # What has several dimensions and nothing in them is not cast.
    return view.cast("B") if view.nbytes else memoryview(b"")


def _join(one: Damage, other: Damage) -> Damage:
    """Return two neighbouring ranges as one, of which is known what is known of the first."""
    length = other.offset + other.bytes - one.offset
    return Damage(one.offset, length, one.wrong_bytes + other.wrong_bytes, vars(one))
