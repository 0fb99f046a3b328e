# SPDX-License-Identifier: MIT OR Apache-2.0
"""Pictures of results: what draws with matplotlib, which is imported with this module alone.

What is drawn to a file raises OSError, or ValueError for a format that is not known.
"""

from __future__ import annotations

import math
import os
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure

from dgen_mpi import _native
from dgen_mpi._text import label

LABELS = {"fixed": "blocks", "content-defined": "chunks"}


def draw_bandwidth(lines: dict[str, dict[Any, list[float]]], x: str, path: str | Path) -> None:
    """Draw lines of GiB/s against a field, medians with bars from the least to the most."""
    figure, axes = _figure()
    # Numbers go before texts.
    places = sorted(set().union(*lines.values()), key=lambda place: (isinstance(place, str), place))
    are_numbers = all(isinstance(place, int | float) for place in places)
    for name, line in lines.items():
        here = [place for place in places if place in line]
        medians = [statistics.median(line[place]) for place in here]
        extremes = [
            [m - min(line[place]) for place, m in zip(here, medians, strict=True)],
            [max(line[place]) - m for place, m in zip(here, medians, strict=True)],
        ]
        at = here if are_numbers else [places.index(place) for place in here]
        axes.errorbar(at, medians, yerr=extremes, marker="o", capsize=4, label=label(name))
    if are_numbers:
        if len(places) > 1 and min(places) > 0 and max(places) / min(places) >= 8:
            axes.set_xscale("log", base=2)
            axes.minorticks_off()
        is_size = x.endswith(("size", "unit", "align", "bytes"))
        shown = [_native.format_size(int(n)) if is_size else f"{n:g}" for n in places]
        axes.set_xticks(places, shown)
    else:
        axes.set_xticks(range(len(places)), [label(str(place)) for place in places])
    axes.set_xlabel(label(x.replace("_", " ")))
    axes.set_ylabel("GiB/s")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.savefig(path, dpi=150)


def draw_ratios(points: dict[str, list[tuple[float, float]]], path: str | Path) -> None:
    """Draw lines of measured against requested ratios."""
    figure, axes = _figure()
    most = max(value for several in points.values() for pair in several for value in pair)
    axes.plot([1, most], [1, most], color="grey", linewidth=1, label="as requested")
    for name, several in points.items():
        several.sort()
        style = "s--" if name.startswith("dedup") else "o-"
        axes.plot(*zip(*several, strict=True), style, markersize=5, label=label(name))
    axes.set_xlabel("requested ratio")
    axes.set_ylabel("measured ratio")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150)


def draw_analysis(analysis: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Draw the ratios of one file as bars; raises OSError."""
    bars = [(LABELS[found["kind"]], found, "C0") for found in analysis["dedup"]]
    bars += [(found["codec"], found, "C1") for found in analysis["compression"]]
    names = [f"{name}\n{_native.format_size(found['unit'])}" for name, found, _ in bars]
    heights = [found["ratio"] for _, found, _ in bars]
    figure = Figure(figsize=(max(6.0, 0.8 * len(bars)), 4.5), layout="constrained")
    axes = figure.subplots()
    axes.bar(range(len(bars)), heights, color=[color for *_, color in bars], width=0.7)
    axes.set_xticks(range(len(bars)), names, fontsize=7)
    for index, height in enumerate(heights):
        axes.annotate(f"{height:.2f}", (index, height), ha="center", va="bottom", fontsize=7)
    spec = analysis["spec"]
    if spec:
        for name, color in (("dedup_ratio", "C0"), ("compress_ratio", "C1")):
            if spec.get(name) is None:
                continue
            asked = f"requested {name}"
            axes.axhline(spec[name], color=color, linestyle="--", linewidth=1, label=asked)
        axes.legend(fontsize=8)
    axes.set_ylabel("ratio")
    axes.set_title(label(Path(analysis["path"]).name), fontsize=10)
    figure.savefig(path, dpi=150)


def draw_profile(measured: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Draw blocks by their copies and contents by their ratios, measured beside made."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    blocks = measured["blocks"]
    copies: dict[str, Counter[int]] = {"measured": Counter(), "made": Counter()}
    # One, two, three to four, five to eight copies, and so on.
    for each in measured["copies"]["distribution"]:
        copies["measured"][(each["copies"] - 1).bit_length()] += each["blocks"] / blocks
    for each in measured["makes"]["copies"]:
        held = each["copies"] * each["contents"] / blocks
        copies["made"][(each["copies"] - 1).bit_length()] += held
    last = max((max(each, default=0) for each in copies.values()), default=0)
    names = ["zeros", "1", "2", *(f"{2 ** (n - 1) + 1} to {2**n}" for n in range(2, last + 1))]
    zeros = {"measured": measured["zeros"]["share"], "made": measured["makes"]["zeros"] / blocks}
    for place, (name, shares) in enumerate(copies.items()):
        heights = [100 * zeros[name], *(100 * shares[n] for n in range(last + 1))]
        at = [index + 0.4 * place - 0.2 for index in range(len(heights))]
        left.bar(at, heights, width=0.4, label=name)
    left.set_xticks(range(len(names[: last + 2])), names[: last + 2], rotation=45, fontsize=7)
    left.set_xlabel("copies of a content")
    left.set_ylabel("% of the blocks")
    left.set_yscale("symlog", linthresh=0.1)
    left.legend(fontsize=8)
    compression = measured["compression"]
    lines = {"measured": compression["distribution"], "made": compression["classes"]}
    for place, (name, ratios) in enumerate(lines.items()):
        found: Counter[int] = Counter()
        for each in ratios:
            found[round(4 * math.log2(each["ratio"]))] += 100 * each["share"]
        at = [key + 0.4 * place - 0.2 for key in found]
        right.bar(at, list(found.values()), width=0.4, label=name)
    most = max((each["ratio"] for several in lines.values() for each in several), default=1)
    marks = range(0, round(4 * math.log2(most)) + 1, 4)
    right.set_xticks(list(marks), [f"{2 ** (mark // 4)}" for mark in marks])
    right.set_xlabel(label(f"ratio of a content, {compression['codec']}"))
    right.set_ylabel("% of the contents")
    right.legend(fontsize=8)
    figure.suptitle(label(", ".join(Path(each).name for each in measured["paths"])), fontsize=10)
    figure.savefig(path, dpi=150)


PLAIN = {"right": "#dfe4ea", "unchanged": "#c3cad3", "earlier": "#8f99a5"}
"""Colours of what has no generation, and is no damage."""

DAMAGE = {
    **{"torn": "#ff7f0e", "older": "#d62728", "newer": "#e377c2", "foreign": "#000000"},
    **{"zeros": "#8c564b", "stale": "#b5126a", "misplaced": "#9400d3", "bit_flips": "#ff4500"},
    **{"truncated": "#7a0019", "transient": "#bcbd22", "mixed": "#5b3a29", "unexamined": "#444444"},
}
"""Colours of damage; of a kind that is not known, that of `foreign`."""

NAMES_SHOWN = 24
"""As many generations as a legend has: the first ones and the last ones."""


def generation_colour(place: int, count: int) -> tuple[float, ...]:
    """Return the colour of one of so many generations, the first of which is 0."""
    colour: tuple[float, ...] = colormaps["viridis"](place / max(1, count - 1))
    return colour


def _layers(stretches: list[dict[str, Any]]) -> dict[str, tuple[Any, list[int]]]:
    """Return the colour of each thing that stretches hold, and its bytes in each of them."""
    made = sorted({int(it) for each in stretches for it in each.get("generations") or {}})
    kinds = sorted({it for each in stretches for it in each.get("damage") or {}})
    layers: dict[str, tuple[Any, list[int]]] = {}
    for name in ("unchanged", "earlier"):
        layers[name] = (PLAIN[name], [each.get(name) or 0 for each in stretches])
    for place, it in enumerate(made):
        held = [(each.get("generations") or {}).get(str(it), 0) for each in stretches]
        layers[f"generation {it}"] = (generation_colour(place, len(made)), held)
    for kind in kinds:
        held = [(each.get("damage") or {}).get(kind, 0) for each in stretches]
        layers[kind] = (DAMAGE.get(kind, DAMAGE["foreign"]), held)
    known = [sum(held[n] for _, held in layers.values()) for n in range(len(stretches))]
    right = [each["bytes"] - it for each, it in zip(stretches, known, strict=True)]
    layers["right"] = (PLAIN["right"], [max(0, it) for it in right])
    return {name: layer for name, layer in layers.items() if any(layer[1])}


def draw_map(found: dict[str, Any], size: int, title: str, path: str | Path) -> None:
    """Draw what each stretch of a data set holds, and above it where anything is damaged.

    A stretch of which a single byte is damaged has the colour of the damage above, of whatever kind
    has most of its bytes. Stretches that are not in the map are right.
    """
    stretches = []
    end = 0
    for each in sorted(found["stretches"], key=lambda it: it["offset"]):
        start = min(size, each["offset"])
        if start > end:
            stretches.append({"offset": end, "bytes": start - end})
        if each["bytes"] and start >= end:
            stretches.append(each)
            end = min(size, start + each["bytes"])
    if end < size:
        stretches.append({"offset": end, "bytes": size - end})
    layers = _layers(stretches)
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    strip, shares = figure.subplots(2, 1, sharex=True, height_ratios=[1, 4])
    edges = [each["offset"] for each in stretches] + [size]
    totals = [max(1, sum(held[n] for _, held in layers.values())) for n in range(len(stretches))]
    low = [0.0] * len(edges)
    for number, (name, (colour, held)) in enumerate(layers.items()):
        parts = [100 * it / total for it, total in zip(held, totals, strict=True)]
        high = [one + other for one, other in zip(low, [*parts, parts[-1]], strict=True)]
        is_shown = number < NAMES_SHOWN // 2 or number >= len(layers) - NAMES_SHOWN // 2
        shown = label(name.replace("_", " ")) if is_shown else None
        shares.fill_between(
            edges, low, high, step="post", color=colour, linewidth=0, antialiased=False, label=shown
        )
        low = high
    strip.axvspan(0, size, color=PLAIN["right"], linewidth=0)
    bars: dict[str, list[tuple[int, int]]] = {}
    for each in stretches:
        if damage := each.get("damage"):
            kind = max(sorted(damage), key=lambda it: damage[it])
            bars.setdefault(kind, []).append((each["offset"], min(each["bytes"], size)))
    for kind, ranges in bars.items():
        colour = DAMAGE.get(kind, DAMAGE["foreign"])
        strip.broken_barh(ranges, (0, 1), color=colour, linewidth=0, antialiased=False)
    strip.set_yticks([])
    strip.set_ylim(0, 1)
    strip.set_ylabel("damage", rotation=0, ha="right", va="center")
    strip.set_title(label(title), fontsize=10)
    shares.set_xlim(0, size)
    shares.set_ylim(0, 100)
    shares.set_ylabel("% of a stretch")
    places = [size * part // 4 for part in range(5)]
    shares.set_xticks(places, [_native.format_size(place) for place in places])
    shares.set_xlabel("offset")
    figure.legend(loc="outside right upper", fontsize=7)
    figure.savefig(path, dpi=150)


def _figure() -> tuple[Any, Any]:
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=True, alpha=0.3)
    return figure, axes
