# SPDX-License-Identifier: MIT OR Apache-2.0
"""FORMAT.md in plain Python: slow, and nothing of the package."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from functools import cache, cached_property

MASK = (1 << 64) - 1


def _rotate(word: int, count: int) -> int:
    return ((word << count) | (word >> (64 - count))) & MASK


def mix(a: int, b: int) -> int:
    """Return output number b of SplitMix64 started at a."""
    z = (a + (b + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@cache
def stream(seed: int, words: int) -> bytes:
    """Return the first bytes of the stream of a seed."""
    return outputs((mix(seed, 0), mix(seed, 1), mix(seed, 2), mix(seed, 3)), words)


def outputs(state: tuple[int, int, int, int], words: int) -> bytes:
    """Return the first bytes of the stream from a state."""
    s0, s1, s2, s3 = state
    out = []
    for _ in range(words):
        out.append((_rotate((s0 + s3) & MASK, 23) + s0) & MASK)
        t = (s1 << 17) & MASK
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= t
        s3 = _rotate(s3, 45)
    return struct.pack(f"<{words}Q", *out)


def block_of(random: bytes, compress: int, block: int, grain: int, fill: str) -> bytes:
    """Return a block whose random bytes begin `random`; the ratio is in thousandths."""
    if compress == 1000:
        return random[:block]
    overhead = grain // 256 + (8 if grain >= 4096 else 4)

    def packed(grains: int) -> int:
        return 8 * (grains * (1000 * grain - overhead * compress) // (8 * compress))

    out = bytearray()
    for g in range(block // grain):
        part = bytearray(random[packed(g) : packed(g + 1)])
        words = len(part) // 8
        distance = 8 * (words if words % 2 == 1 else words - 1)
        while len(part) < grain:
            part.append(0 if fill == "zeros" else part[len(part) - distance])
        out += part
    return bytes(out)


def data_set(
    size: int,
    seed: int,
    dedup: int = 1000,
    compress: int = 1000,
    block: int = 4096,
    grain: int = 1024,
    fill: str = "backref",
) -> bytes:
    """Return a small data set; ratios are in thousandths."""
    blocks = -(-size // block)
    distinct = max(1, (2000 * blocks + dedup) // (2 * dedup))
    random = stream(seed, distinct * block // 8)

    def content(u: int) -> bytes:
        return block_of(random[u * block : (u + 1) * block], compress, block, grain, fill)

    return b"".join(content(i % distinct) for i in range(blocks))[:size]


def permute(key: int, n: int, x: int) -> int:
    """Return the place of x in a permutation of n."""
    if n < 2:
        return x
    bits = (n - 1).bit_length()
    low = bits // 2
    high = bits - low
    while True:
        left, rest = x & ((1 << low) - 1), x >> low
        for r in range(6):
            if r % 2 == 0:
                rest ^= ((left ^ mix(key, r)) * 0xD1342543DE82EF95 & MASK) >> (64 - high)
            elif low > 0:
                left ^= ((rest ^ mix(key, r)) * 0xD1342543DE82EF95 & MASK) >> (64 - low)
        x = rest << low | left
        if x < n:
            return x


def scatter(key: int, n: int, run: int, x: int) -> int:
    """Return the place of x where `run` neighbours stay together."""
    m = n // run
    return x if x >= m * run else permute(key, m, x // run) * run + x % run


MILLION = 1_000_000


@dataclasses.dataclass
class Set:
    """A data set of part two; ratios are in thousandths, shares in millionths."""

    size: int
    seed: int
    block: int = 4096
    grain: int = 1024
    fill: str = "backref"
    dedup: int = 1000
    copies: list[tuple[int, int]] | None = None
    zeros: int = 0
    compress: int | list[tuple[int, int]] = 1000
    run: int = 1
    change: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    generation: int = 0

    @property
    def blocks(self) -> int:
        """Return how many blocks there are."""
        return -(-self.size // self.block)

    @property
    def zero_blocks(self) -> int:
        """Return how many of them are zeros."""
        return (2 * self.blocks * self.zeros + MILLION) // (2 * MILLION)

    @cached_property
    def classes(self) -> list[tuple[int, int, int, int]]:
        """Return first slot, slots, first content and contents of each class."""
        found = []
        slot, content, left = self.zero_blocks, 0, self.blocks - self.zero_blocks
        for k, share in self.copies or []:
            n = min((2 * self.blocks * share + MILLION * k) // (2 * MILLION * k), left // k)
            found.append((slot, n * k, content, n))
            slot, content, left = slot + n * k, content + n, left - n * k
        if left > 0:
            n = left
            if self.copies is None:
                n = max(1, (2000 * left + self.dedup) // (2 * self.dedup))
            found.append((slot, left, content, n))
        return found

    @property
    def contents(self) -> int:
        """Return how many contents there are."""
        return sum(n for _, _, _, n in self.classes)

    def key(self, t: int) -> int:
        """Return the key of what is scattered."""
        return mix(self.seed, MASK - t)

    def location(self, block: int) -> tuple[int, int, int] | None:
        """Return content, ratio and generation of its last change; None for zeros."""
        slot = scatter(mix(self.key(0), 0), self.blocks, self.run, block)
        if slot < self.zero_blocks:
            return None
        for j, (first, slots, content, n) in enumerate(self.classes):
            if first <= slot < first + slots:
                r = (slot - first) % n
                return content + r, self._ratio(j, n, r), self._generation(j, n, r)
        raise AssertionError(slot)

    def _ratio(self, j: int, n: int, r: int) -> int:
        if isinstance(self.compress, int):
            return self.compress
        v = scatter(mix(self.key(1), j), n, self.run, r)
        share = 0
        for ratio, part in self.compress:
            share += part
            if v < n * share // MILLION:
                return ratio
        raise AssertionError(v)

    def _generation(self, j: int, n: int, r: int) -> int:
        v = scatter(mix(self.key(2), j), n, self.run, r)
        share = 0
        for part, rate in self.change:
            e = n * share // MILLION
            share += part
            end = n * share // MILLION
            if v < end:
                p, q = v - e, end - e
                changes = self.generation * q * rate // MILLION
                if changes <= p:
                    return 0
                t = p + (changes - 1 - p) // q * q
                return -(-(t + 1) * MILLION // (q * rate))
        return 0

    def block_bytes(self, block: int) -> bytes:
        """Return the bytes of a block, also of the last one's whole."""
        found = self.location(block)
        if found is None:
            return bytes(self.block)
        u, compress, h = found
        a = mix(mix(self.seed, 2 * h), u)
        b = mix(mix(self.seed, 2 * h + 1), u)
        random = outputs((mix(a, 0), mix(a, 1), mix(b, 0), mix(b, 1)), self.block // 8)
        return block_of(random, compress, self.block, self.grain, self.fill)

    def parts(self) -> Iterator[bytes]:
        """Yield the bytes, block by block."""
        for block in range(self.blocks):
            yield self.block_bytes(block)[: self.size - block * self.block]
