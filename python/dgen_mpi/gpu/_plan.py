# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the kernels are told of a data set and of a range of it, as their structs have it."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from dgen_mpi.spec import DataSpec

MILLION = 1_000_000

CLASSES_MAX = 33
RATIOS_MAX = 32
RINGS_MAX = 8
BASES_MAX = 4

TABLE_BYTES = 64 * 16 * 32
"""A table of a jump: for each of 64 groups of 4 bits the images of their 16 values."""

BASE_SHIFTS = range(30, 37)
"""States of the stream at multiples of 2 to so many words come from the host, so that jumps are
short: the first of these with which few are enough. No device has so much memory that the last is
not. Tables of jumps by 1, 2, 4, ... words reach from one to the next."""

PIECES_WANTED = 100_000
"""Pieces that keep all lanes of a large device busy: with fewer, pieces get shorter."""

PIECE_BYTES_MIN = 2 << 10
PIECE_BYTES_MAX = 32 << 10
WHOLE_BLOCK_MAX = 8 << 10
"""A block of version 2 of no more bytes is one piece: where it begins is found without a jump."""

STREAM_BLOCK = 16 << 20
"""What stands for a block where the data set is nothing but the stream."""

CHAIN_MAX = 64
CHAINS_WANTED = 4 << 10
"""Where pieces begin is found for chains of pieces: to the first one it takes a dozen jumps, and
one from each to the next. So many keep a large device busy."""

FLAG_BYTES_MIN = 4 << 10
"""A comparison tells where something is wrong to so many bytes, at the least a grain: then ranges
in different stretches that do not touch are different ranges."""

_MASK = (1 << 64) - 1


class Ratio(ctypes.Structure):
    """How the random words of contents of a ratio are spread over grains."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("words", "part", "whole", "piece_part")]
    _fields_ += [("step", ctypes.c_void_p)]


class Ring(ctypes.Structure):
    """Contents that change at one rate."""

    _fields_ = [
        (name, ctypes.c_uint64) for name in ("begin", "end", "rate", "has_changed", "turns", "rest")
    ]


class Order(ctypes.Structure):
    """How numbers are scattered."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("count", "runs", "low", "high")]


class Class(ctypes.Structure):
    """Contents of one number of copies."""

    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("first", "slots", "content")),
        ("order", Order),
        ("ratio_keys", ctypes.c_uint64 * 6),
        ("ring_keys", ctypes.c_uint64 * 6),
        ("ratio_ends", ctypes.c_uint64 * RATIOS_MAX),
        ("rings", Ring * RINGS_MAX),
    ]


class Plan(ctypes.Structure):
    """A data set."""

    _fields_ = [
        *(
            (name, ctypes.c_uint64)
            for name in (
                *("version", "seed", "distinct", "zeros", "block_words", "grain_words"),
                *("piece_words", "piece_grains", "pieces_per_block", "has_zeros_fill", "run"),
                *("class_count", "ratio_count", "ring_count"),
            )
        ),
        ("block_step", ctypes.c_void_p),
        ("order", Order),
        ("block_keys", ctypes.c_uint64 * 6),
        ("ratios", Ratio * RATIOS_MAX),
        ("classes", Class * CLASSES_MAX),
    ]


class Call(ctypes.Structure):
    """What is done with a range of it."""

    _fields_ = [
        ("plan", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        *((name, ctypes.c_uint64) for name in ("offset", "length", "first_piece", "pieces")),
        *((name, ctypes.c_void_p) for name in ("states", "ratios", "flags", "found")),
        ("shift", ctypes.c_uint64),
        ("threads", ctypes.c_uint64),
        *((name, ctypes.c_uint64) for name in ("chain", "first_chain", "chains_per_block")),
        *((name, ctypes.c_void_p) for name in ("powers", "tables", "polynomials")),
        ("base_shift", ctypes.c_uint64),
        ("base_numbers", ctypes.c_uint64 * BASES_MAX),
        ("bases", ctypes.c_uint64 * 4 * BASES_MAX),
    ]


# Jumps: FORMAT.md, section 1

_POLYNOMIAL = 0x10003C03C3F3ECB1904B4EDCF26259F850280002BCEFD1A5E9D116F2BB0F0F001


def _reduced(product: int) -> int:
    while (excess := product.bit_length() - 257) >= 0:
        product ^= _POLYNOMIAL << excess
    return product


@functools.cache
def powers() -> tuple[int, ...]:
    """Return the polynomials of the jumps by 1, 2, 4, ... words."""
    found = [2]
    while len(found) < 64:
        # To square over two elements is to put a zero behind each bit.
        found.append(_reduced(int(f"{found[-1]:b}", 4)))
    return tuple(found)


@functools.lru_cache(maxsize=1024)
def polynomial(words: int) -> int:
    """Return the polynomial of a jump."""
    found = 1
    for bit, power in enumerate(powers()):
        if words >> bit & 1:
            product = 0
            for place in range(power.bit_length()):
                if power >> place & 1:
                    product ^= found << place
            found = _reduced(product)
    return found


def words_of(polynomials: tuple[int, ...]) -> bytes:
    """Return polynomials as the kernels read them."""
    return b"".join(each.to_bytes(32, "little") for each in polynomials)


def _rotate(word: int, count: int) -> int:
    return (word << count | word >> (64 - count)) & _MASK


def _mix(a: int, b: int) -> int:
    z = (a + (b + 1) * 0x9E3779B97F4A7C15) & _MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
    return z ^ z >> 31


@functools.lru_cache(maxsize=256)
def state_at(seed: int, words: int) -> tuple[int, int, int, int]:
    """Return a state of the stream of a seed."""
    a, b, c, d = (_mix(seed, index) for index in range(4))
    coefficients = polynomial(words)
    sums = [0, 0, 0, 0]
    while coefficients:
        if coefficients & 1:
            sums = [sums[0] ^ a, sums[1] ^ b, sums[2] ^ c, sums[3] ^ d]
        coefficients >>= 1
        t = b << 17 & _MASK
        c ^= a
        d ^= b
        b ^= c
        a ^= d
        c ^= t
        d = _rotate(d, 45)
    return sums[0], sums[1], sums[2], sums[3]


# Data sets


class Step(NamedTuple):
    """A jump whose table a plan needs, and where its address goes."""

    words: int
    ratio: int | None


class Shape(NamedTuple):
    """A data set as the kernels have it, all but the addresses of tables."""

    plan: Plan
    steps: tuple[Step, ...]
    piece_bytes: int
    has_grains: bool
    finds_itself: bool
    """Whether each lane finds where its piece begins."""


def is_second(spec: DataSpec) -> bool:
    """Tell whether a data set is of version 2 of the format."""
    given = (spec.copies, spec.zeros, spec.compress_mix, spec.run, spec.change, spec.generation)
    return any(value is not None for value in given)


def _thousandths(ratio: float) -> int:
    return round(ratio * 1000)


def _millionths(share: float) -> int:
    return round(share * MILLION)


def ratios_of(spec: DataSpec) -> list[tuple[int, int]]:
    """Return the compress ratios, in thousandths, and their shares, in millionths."""
    if spec.compress_mix is not None:
        return [(_thousandths(ratio), _millionths(share)) for ratio, share in spec.compress_mix]
    return [(_thousandths(spec.compress_ratio or 1), MILLION)]


def piece_bytes_for(spec: DataSpec, length: int) -> int:
    """Return how much of a data set a lane makes, so that a range keeps a device busy."""
    ratios = [ratio for ratio, _ in ratios_of(spec)]
    is_stream = not is_second(spec) and ratios == [1000] and spec.distinct_blocks >= spec.blocks
    block = STREAM_BLOCK if is_stream else spec.dedup_unit
    unit = 512 if ratios == [1000] else spec.compress_unit
    wanted = 1 << (length // PIECES_WANTED).bit_length()
    wanted = min(max(wanted, PIECE_BYTES_MIN), PIECE_BYTES_MAX)
    if block <= WHOLE_BLOCK_MAX:
        wanted = block
    units = block // unit
    most = min(max(1, wanted // unit), units)
    return unit * next(count for count in range(most, 0, -1) if units % count == 0)


def _order(count: int, run: int) -> Order:
    runs = count // run
    bits = max(runs - 1, 0).bit_length()
    return Order(count, runs, bits // 2, bits - bits // 2)


def _classes(spec: DataSpec) -> Iterator[tuple[int, int, int, int]]:
    """Yield first slot, slots, first content and contents of each class that has any."""
    slot, content, left = spec.zero_blocks, 0, spec.blocks - spec.zero_blocks
    for copies, share in spec.copies or ():
        wanted = (2 * spec.blocks * _millionths(share) + MILLION * copies) // (2 * MILLION * copies)
        count = min(wanted, left // copies)
        yield slot, count * copies, content, count
        slot, content, left = slot + count * copies, content + count, left - count * copies
    if left > 0:
        count = left
        if spec.copies is None:
            dedup = _thousandths(spec.dedup_ratio or 1)
            count = max(1, (2000 * left + dedup) // (2 * dedup))
        yield slot, left, content, count


def _put_keys(keys: ctypes.Array[ctypes.c_uint64], key: int) -> None:
    for number in range(6):
        keys[number] = _mix(key, number)


def _put_class(
    found: Class, spec: DataSpec, number: int, values: tuple[int, int, int, int]
) -> None:
    found.first, found.slots, found.content, count = values
    found.order = _order(count, spec.run or 1)
    _put_keys(found.ratio_keys, _mix(_mix(spec.seed, _MASK - 1), number))
    _put_keys(found.ring_keys, _mix(_mix(spec.seed, _MASK - 2), number))
    shares = 0
    for index, (_, share) in enumerate(ratios_of(spec)):
        shares += share
        found.ratio_ends[index] = count * shares // MILLION
    shares = 0
    for index, (part, rate) in enumerate(spec.change or ()):
        ring = found.rings[index]
        ring.begin = count * shares // MILLION
        shares += _millionths(part)
        ring.end = count * shares // MILLION
        ring.rate = _millionths(rate)
        contents = ring.end - ring.begin
        changes = (spec.generation or 0) * contents * ring.rate // MILLION
        if changes > 0:
            ring.has_changed = 1
            ring.turns, ring.rest = divmod(changes - 1, contents)


def shape_of(spec: DataSpec, piece_bytes: int) -> Shape:
    """Return a data set as the kernels have it, for pieces of so many bytes."""
    plan = Plan()
    second = is_second(spec)
    plan.version, plan.seed, plan.run = 2 if second else 1, spec.seed, spec.run or 1
    block, ratios = spec.dedup_unit, ratios_of(spec)
    plan.distinct = spec.distinct_blocks
    is_plain = all(ratio == 1000 for ratio, _ in ratios)
    if not second and is_plain and spec.distinct_blocks >= spec.blocks:
        block, plan.distinct = STREAM_BLOCK, 1 << 62
    plan.block_words, plan.grain_words = block // 8, spec.compress_unit // 8
    plan.piece_words = piece_bytes // 8
    plan.piece_grains = piece_bytes // spec.compress_unit
    plan.pieces_per_block = block // piece_bytes
    plan.has_zeros_fill = int(spec.fill_kind == "zeros")
    plan.ratio_count, plan.ring_count = len(ratios), len(spec.change or ())
    if second:
        plan.zeros = spec.zero_blocks
        plan.order = _order(spec.blocks, plan.run)
        _put_keys(plan.block_keys, _mix(_mix(spec.seed, _MASK), 0))
        for number, values in enumerate(_classes(spec)):
            _put_class(plan.classes[number], spec, number, values)
            plan.class_count = number + 1
    finds_itself = second and block == piece_bytes
    steps = []
    if not second and block == piece_bytes:
        steps.append(Step(block // 8, None))
    for index, (ratio, _) in enumerate(ratios):
        words = piece_bytes // 8
        if ratio != 1000:
            grain = spec.compress_unit
            overhead = grain // 256 + (8 if grain >= 4096 else 4)
            found, random = plan.ratios[index], 1000 * grain - overhead * ratio
            found.whole = 8 * ratio
            found.words, found.part = divmod(random, found.whole)
            words, found.piece_part = divmod(plan.piece_grains * random, found.whole)
        if block > piece_bytes:
            steps.append(Step(words, index))
    return Shape(plan, tuple(steps), piece_bytes, not is_plain, finds_itself)


# Ranges


def flag_shift(spec: DataSpec) -> int:
    """Return the logarithm of the bytes that a flag of a comparison is for."""
    return (max(FLAG_BYTES_MIN, spec.compress_unit) - 1).bit_length()


def describe(call: Call, spec: DataSpec, shape: Shape, offset: int, length: int) -> str | None:
    """Put a range of 1 byte at least into a call.

    Return the kernel that finds where its pieces begin, if there is one.
    """
    piece, per_block = shape.piece_bytes, shape.plan.pieces_per_block
    first, last = offset // piece, (offset + length - 1) // piece
    call.offset, call.length, call.first_piece, call.pieces = (
        offset,
        length,
        first,
        last - first + 1,
    )
    if shape.finds_itself:
        return None
    if shape.plan.version == 1:
        _put_bases(call, spec, shape, first // per_block, last // per_block)
    call.chain = min(max(1, call.pieces // CHAINS_WANTED), CHAIN_MAX)
    if per_block == 1:
        call.threads = -(-call.pieces // call.chain)
        return "blocks"
    call.chain = min(call.chain, per_block)
    call.chains_per_block = -(-per_block // call.chain)

    def chain_of(number: int) -> int:
        block, part = divmod(number, per_block)
        return int(block * call.chains_per_block + part // call.chain)

    call.first_chain = chain_of(first)
    call.threads = chain_of(last) + 1 - call.first_chain
    return "parts"


def _put_bases(call: Call, spec: DataSpec, shape: Shape, first: int, last: int) -> None:
    """Put the states that all jumps of a range of blocks start from."""
    distinct, words = shape.plan.distinct, shape.plan.block_words
    # Which contents: after the last one the first comes again.
    start, stop = first % distinct, last % distinct
    if last - first >= distinct - 1:
        contents = [(0, distinct - 1)]
    elif start <= stop:
        contents = [(start, stop)]
    else:
        contents = [(0, stop), (start, distinct - 1)]
    for shift in BASE_SHIFTS:
        stretches = [
            (low * words >> shift, ((high + 1) * words - 1) >> shift) for low, high in contents
        ]
        if sum(high - low + 1 for low, high in stretches) <= BASES_MAX:
            break
    else:
        raise ValueError("array: more memory than a device has")
    numbers = sorted({it for low, high in stretches for it in range(low, high + 1)})
    call.base_shift = shift
    for index in range(BASES_MAX):
        number = numbers[min(index, len(numbers) - 1)]
        call.base_numbers[index] = number
        call.bases[index][:] = state_at(spec.seed, number << shift)
