# SPDX-License-Identifier: MIT OR Apache-2.0
"""Damage: what is said of it, held against what it is."""

from __future__ import annotations

from typing import Any

from conftest import SEED, chance

from dgen_mpi import Damage, DataSpec


def content(spec: DataSpec, start: int, length: int) -> bytes:
    """Return a range of a data set."""
    buffer = bytearray(length)
    spec.fill(buffer, start)
    return bytes(buffer)


def untruths(
    spec: DataSpec, older: DataSpec, right: bytes, found: bytes, start: int, it: Damage
) -> list[str]:
    """Return what is not so of what is said of a range."""
    first, end = it.offset - start, it.offset - start + it.bytes
    false = []
    if it.expected != right[first : min(first + 16, end)] or it.found != found[first:end][:16]:
        false.append("first bytes")
    parts = it.parts if it.kind == "mixed" else [(it.kind, it.offset, it.bytes)]
    if it.sampled:
        parts = []
    told = set()
    for kind, offset, length in parts:
        place = offset - start
        told.update(range(place, place + length))
        here = found[place : place + length]
        if kind == "zeros" and any(here):
            false.append(f"zeros at {offset}")
        if kind == "stale" and here != content(older, offset, length):
            false.append(f"stale at {offset}")
        if kind == "misplaced" and it.kind == kind:
            assert it.source_offset is not None
            if here != content(spec, it.source_offset, length):
                false.append(f"misplaced from {it.source_offset}")
    if not it.sampled and (it.part_count or 0) <= 16:
        false += [
            f"nothing of {start + place}"
            for place in range(first, end)
            if found[place] != right[place] and place not in told
        ]
    if it.kind == "bit_flips":
        bits = sum((found[i] ^ right[i]).bit_count() for i in range(first, end))
        assert it.flipped_bits is not None
        is_true = 0 < it.flipped_bits <= bits if it.sampled else it.flipped_bits == bits
        if not is_true or len(it.bits) != min(64, it.flipped_bits):
            false.append(f"{it.flipped_bits} of {bits} bits")
        false += [
            f"bit {bit} of {offset}"
            for offset, bit in it.bits
            if not (found[offset - start] ^ right[offset - start]) >> bit & 1
        ]
    if it.torn_at is not None:
        begin = it.offset // spec.dedup_unit * spec.dedup_unit
        before = slice(begin - start, it.torn_at - start)
        if begin < start or it.torn_at % 512 or found[before] != right[before]:
            false.append(f"torn at {it.torn_at}")
    return false


def test_what_is_said_of_damage_is_true() -> None:
    """Whatever kinds lie next to each other, at whatever place of however large a data set."""
    numbers = chance()
    for number in range(60):
        size = numbers.choice([numbers.randrange(1, 9000), numbers.randrange(1, 80_000), 700_001])
        whole = numbers.choice([size, 2**63 - 1, size + 12_345])
        shape: dict[str, Any] = {
            "dedup_ratio": numbers.choice([1, 1, 2.5]),
            "compress_ratio": numbers.choice([1, 1, 1.5, 4]),
            "dedup_unit": 512 * numbers.choice([8, 9, 64]),
            "compress_unit": 512,
            "fill": numbers.choice(["zeros", "backref"]),
        }
        spec, older = (DataSpec(whole, SEED + each, **shape) for each in (0, 1))
        start = numbers.choice([0, whole - size, (whole - size) // 2])
        right = content(spec, start, size)
        found = bytearray(right)
        place = numbers.randrange(size)
        for _ in range(numbers.randrange(1, 6)):
            count = min(numbers.choice([7, 15, 40, 512, 5000, 400_000]), size)
            begins = [numbers.randrange(size), min(size - 1, place), place // 512 * 512]
            begin = min(size - 1, numbers.choice(begins))
            count = min(numbers.randrange(count) + 1, size - begin)
            match numbers.randrange(6):
                case 0:
                    found[begin : begin + count] = bytes(count)
                case 1:
                    found[begin : begin + count] = content(older, start + begin, count)
                case 2:
                    source = numbers.randrange(size - count + 1)
                    found[begin : begin + count] = right[source : source + count]
                case 3:
                    found[begin : begin + count] = numbers.randbytes(count)
                case _:
                    for _ in range(numbers.choice([1, 3, count])):
                        found[begin + numbers.randrange(count)] ^= 1 << numbers.randrange(8)
            place = begin + count
        damage = spec.compare(found, start, also_known=[SEED + 1], search_bytes=1 << 20)
        for it in damage:
            false = untruths(spec, older, right, bytes(found), start, it)
            assert not false, f"case {number}, {spec}, {it}: {it.as_dict()}"
