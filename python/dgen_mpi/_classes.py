# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measured distributions as the few classes that a profile holds, and what a profile makes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

WHOLE = 1_000_000
"""Shares are counted in millionths."""

COPY_CLASSES_MAX = 32
RATIO_CLASSES_MAX = 8

_EXACT_COPIES = 64
"""Numbers of copies that are told apart before classes are joined; larger ones within 2%."""

_RATIO_TOLERANCE = 2.5e-5
"""What joining two classes of ratios may cost where it need not be: a percent of their ratio."""


def joined(points: Sequence[tuple[float, float]], most: int, cheap: float = -1) -> list[range]:
    """Return groups of neighbours among places with weights, which are in order of their places.

    Those whose squared distance, times the weights, is least are joined (Ward), until there are
    at most `most` groups and no join costs less than `cheap` times all weights.
    """
    groups = [(weight, place, range(i, i + 1)) for i, (place, weight) in enumerate(points)]
    bound = cheap * sum(weight for _, weight in points)

    def cost(index: int) -> float:
        (one, here, _), (other, there, _) = groups[index], groups[index + 1]
        return one * other / (one + other) * (here - there) ** 2 if one + other else 0.0

    costs = [cost(index) for index in range(len(groups) - 1)]
    while costs and (len(groups) > most or min(costs) <= bound):
        index = costs.index(min(costs))
        (one, here, first), (other, there, second) = groups[index : index + 2]
        weight = one + other
        place = (one * here + other * there) / weight if weight else here
        groups[index : index + 2] = [(weight, place, range(first.start, second.stop))]
        del costs[index]
        for near in (index - 1, index):
            if 0 <= near < len(costs):
                costs[near] = cost(near)
    return [members for *_, members in groups]


def copy_classes(
    contents: Mapping[int, float], blocks: float, zeros: int = 0
) -> list[tuple[int, int]]:
    """Return classes of a profile, copies and millionths of all blocks, by their copies.

    The blocks of each class, and the contents of all of them, are kept as far as whole numbers of
    copies and millionths allow.

    Parameters
    ----------
    contents
        How many contents have so many copies, 1 too.
    blocks
        All blocks, with those that are zeros.
    zeros
        The millionths of the blocks that are zeros.
    """
    bins: dict[int, list[float]] = {}
    for copies, count in sorted(contents.items()):
        if copies < 2 or count <= 0:
            continue
        near = copies
        if copies > _EXACT_COPIES:
            near = _EXACT_COPIES + 1 + int(math.log(copies / _EXACT_COPIES) / 0.02)
        found = bins.setdefault(near, [0.0, 0.0])
        found[0] += count
        found[1] += count * copies
    points = [(math.log(held / count), held) for count, held in bins.values()]
    all_contents = sum(contents.values())
    pairs = list(bins.values())
    for most in range(COPY_CLASSES_MAX, 0, -1):
        classes: dict[int, float] = {}
        for group in joined(points, most):
            count = sum(pairs[index][0] for index in group)
            held = sum(pairs[index][1] for index in group)
            for copies, part in _whole_copies(count, held, all_contents):
                classes[copies] = classes.get(copies, 0.0) + part
        if len(classes) <= COPY_CLASSES_MAX:
            break
    shares = [(copies, round(held / blocks * WHOLE)) for copies, held in sorted(classes.items())]
    shares = [(copies, share) for copies, share in shares if share > 0] if bins else []
    excess = sum(share for _, share in shares) + zeros - WHOLE
    if excess > 0:
        largest = max(range(len(shares)), key=lambda index: shares[index][1])
        shares[largest] = (shares[largest][0], shares[largest][1] - excess)
    return shares


def _whole_copies(count: float, held: float, all_contents: float) -> list[tuple[int, float]]:
    """Return one class, or two with neighbouring numbers of copies that keep the contents too."""
    mean = held / count
    near = round(mean)
    if abs(held / near - count) <= 1e-6 * all_contents:
        return [(near, held)]
    low = math.floor(mean)
    more = held - low * count
    return [(low, (count - more) * low), (low + 1, more * (low + 1))]


def made(
    copies: Sequence[tuple[int, int]], zeros: int, blocks: int
) -> tuple[int, list[tuple[int, int]]]:
    """Return what so many blocks are made of: those that are zeros, and copies and contents.

    FORMAT.md, section 9; contents that have one copy come last.
    """
    blank = (2 * blocks * zeros + WHOLE) // (2 * WHOLE)
    left = blocks - blank
    found = []
    for each, share in copies:
        count = min((2 * blocks * share + WHOLE * each) // (2 * WHOLE * each), left // each)
        left -= count * each
        if count:
            found.append((each, count))
    return blank, [*found, (1, left)] if left else found


def ratio_classes(
    found: Sequence[tuple[float, float, float]], most: float
) -> list[tuple[int, int, range]]:
    """Return classes of a profile: thousandths of a ratio, millionths of contents, what is in it.

    Parameters
    ----------
    found
        Bytes, bytes that a compressor made of them, and the weight of these contents, from the
        least ratio to the largest; the first may be those that do not become smaller.
    most
        The largest ratio that can be made.
    """
    whole = [
        index for index, (before, after, _) in enumerate(found) if after >= before * (1 - 1e-9)
    ]
    rest = len(whole)
    points = [(math.log(before / after), weight) for before, after, weight in found[rest:]]
    limit = RATIO_CLASSES_MAX - (1 if whole else 0)
    groups = [range(rest)] if whole else []
    groups += [
        range(part.start + rest, part.stop + rest)
        for part in joined(points, limit, _RATIO_TOLERANCE)
    ]
    weights = [sum(found[index][2] for index in group) for group in groups]
    shares = _millionths(weights)
    classes = []
    for group, share in zip(groups, shares, strict=True):
        before = sum(found[index][0] for index in group)
        after = sum(found[index][1] for index in group)
        ratio = min(max(1.0, before / after), most)
        classes.append((round(1000 * ratio), share, group))
    return [each for each in classes if each[1] > 0]


def _millionths(weights: Sequence[float]) -> list[int]:
    """Return shares that are a million together, each as near as that allows."""
    total = sum(weights)
    exact = [weight / total * WHOLE for weight in weights]
    shares = [math.floor(each) for each in exact]
    by_rest = sorted(range(len(exact)), key=lambda index: shares[index] - exact[index])
    for index in by_rest[: WHOLE - sum(shares)]:
        shares[index] += 1
    return shares


def per_cent(millionths: int) -> str:
    """Return a share as profiles have it: `5%`, `29.27%`."""
    return f"{millionths / 10_000:.4f}".rstrip("0").rstrip(".") + "%"


def thousandths(number: int) -> str:
    """Return a ratio as profiles have it: `1.5`."""
    return f"{number / 1000:.3f}".rstrip("0").rstrip(".")
