# SPDX-License-Identifier: MIT OR Apache-2.0
"""FORMAT.md in plain Python: slow, and nothing of the package."""

from __future__ import annotations

import struct
from functools import cache

MASK = (1 << 64) - 1


def _rotate(word: int, count: int) -> int:
    return ((word << count) | (word >> (64 - count))) & MASK


@cache
def stream(seed: int, words: int) -> bytes:
    """Return the first bytes of the stream of a seed."""
    state, x = [], seed
    for _ in range(4):
        x = (x + 0x9E3779B97F4A7C15) & MASK
        z = x
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        state.append(z ^ (z >> 31))
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
    overhead = grain // 256 + (8 if grain >= 4096 else 4)

    def packed(grains: int) -> int:
        return 8 * (grains * (1000 * grain - overhead * compress) // (8 * compress))

    def content(u: int) -> bytes:
        start = u * block
        if compress == 1000:
            return random[start : start + block]
        out = bytearray()
        for g in range(block // grain):
            first, after = packed(g), packed(g + 1)
            part = bytearray(random[start + first : start + after])
            words = len(part) // 8
            distance = 8 * (words if words % 2 == 1 else words - 1)
            while len(part) < grain:
                part.append(0 if fill == "zeros" else part[len(part) - distance])
            out += part
        return bytes(out)

    return b"".join(content(i % distinct) for i in range(blocks))[:size]
