# SPDX-License-Identifier: MIT OR Apache-2.0
"""Damage: ranges of a data set that are not as they should be, and what has become of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

Found = tuple[
    list[tuple[int, int, int, dict[str, object]]], int, int, int, Optional[tuple[int, int, int]]
]
"""Ranges as the extension tells of them."""


class _Range(NamedTuple):
    offset: int
    bytes: int
    wrong_bytes: int


class Damage(_Range):
    """A range of a data set that is not as it should be: a tuple of three numbers, and what it is.

    Attributes
    ----------
    offset, bytes, wrong_bytes
        The offset in the data set of its first wrong byte, its length from that to the last wrong
        byte, and how many of its bytes are wrong.
    kind
        What has become of it, as its bytes tell: ``"zeros"`` (8 bytes at least: a lost write, or a
        hole), ``"stale"`` (the bytes of another seed that was named, or of another generation of
        the data set), ``"misplaced"`` (16 bytes at
        least that belong at another offset), ``"bit_flips"``, ``"torn"`` (right up to a sector
        within a block, and unknown bytes to its end), ``"truncated"`` (not there), ``"mixed"``
        (several kinds), ``"foreign"`` (anything else); empty where nobody has looked.
    source_offset, source_blocks
        Where misplaced bytes belong; the lowest offset, where copies of blocks have them. How many
        blocks hold them by right, where classes of copies say so and there are several.
    seed
        The seed of the data set that stale bytes are of.
    generation, stale_blocks
        The generation in which stale bytes were made; where there are several, how many blocks hold
        bytes of each.
    flipped_bits, bits
        How many bits differ, and which, as pairs of an offset and a bit from 0 to 7 (64 at most).
        Of a `sampled` range, those that were looked at: as many differ at least.
    torn_at
        The sector at which the range begins, where all before it in the same block is known to be
        right, and the range goes on to the end of the block.
    parts, part_count
        Of mixed ranges: tuples of kind, offset and length (16 at most), and how many there are.
        Each is true of all its bytes; bytes in none of them are right.
    sampled
        Whether the range is so long (256 KiB) that only samples of it were looked at: its kind is
        an estimate then, and so are parts that go from one sample to the next.
    expected, found
        The first bytes as they should be, and as they are (16 at most).
    """

    kind: str = ""
    source_offset: int | None = None
    source_blocks: int | None = None
    seed: int | None = None
    generation: int | None = None
    stale_blocks: dict[int, int]
    flipped_bits: int | None = None
    bits: list[tuple[int, int]]
    torn_at: int | None = None
    parts: list[tuple[str, int, int]]
    part_count: int | None = None
    sampled: bool = False
    expected: bytes = b""
    found: bytes = b""

    def __new__(
        cls,
        offset: int,
        bytes: int,  # noqa: A002 - the word of reports
        wrong_bytes: int,
        diagnosis: Mapping[str, Any] | None = None,
    ) -> Damage:
        """Make a range; `diagnosis` has what the extension has found out about it."""
        damage = super().__new__(cls, offset, bytes, wrong_bytes)
        vars(damage).update({"bits": [], "parts": [], "stale_blocks": {}} | dict(diagnosis or {}))
        damage.stale_blocks = dict(damage.stale_blocks)
        damage.sampled = bool(damage.sampled)
        return damage

    def __repr__(self) -> str:
        """Tell the range, and what is known of it, the kind first."""
        known = {name: getattr(self, name) for name in Damage.__annotations__}
        told = {
            name: value
            for name, value in known.items()
            if value or (value == 0 and value is not False)
        }
        fields = ", ".join(f"{name}={value!r}" for name, value in (self._asdict() | told).items())
        return f"Damage({fields})"

    def as_dict(self) -> dict[str, Any]:
        """Return what is known of it as reports have it: bytes in hexadecimal, nothing empty."""
        known = {name: getattr(self, name) for name in Damage.__annotations__}
        return self._asdict() | {
            name: value.hex() if isinstance(value, bytes) else value
            for name, value in known.items()
            if value not in (None, [], {}, "") and value is not False
        }


class DamagedRanges(list[Damage]):
    """The damaged ranges that a comparison found, in ascending order; empty if there are none.

    Wrong bytes with less than a grain (``compress_unit``) of right ones between them are one range.

    Attributes
    ----------
    range_count, range_bytes, wrong_bytes
        All ranges, also those that the list has no room for, the lengths of all of them together,
        and all wrong bytes.
    last
        The last range, also where the list has no room for it: it then has no kind. None if there
        is none.
    """

    def __init__(
        self,
        ranges: list[Damage],
        range_count: int,
        range_bytes: int,
        wrong_bytes: int,
        last: Damage | None = None,
    ) -> None:
        super().__init__(ranges)
        self.range_count = range_count
        self.range_bytes = range_bytes
        self.wrong_bytes = wrong_bytes
        self.last = ranges[-1] if ranges and range_count == len(ranges) else last

    @classmethod
    def of(cls, found: Found) -> DamagedRanges:
        """Return what the extension has found."""
        ranges, range_count, range_bytes, wrong_bytes, last = found
        damage = [Damage(*each) for each in ranges]
        return cls(damage, range_count, range_bytes, wrong_bytes, Damage(*last) if last else None)
