# SPDX-License-Identifier: MIT OR Apache-2.0
"""Ask for ratios, measure them with real compressors, and draw both."""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable
from pathlib import Path

import lz4.block
import matplotlib.pyplot as plt
import zstandard
from matplotlib.figure import Figure

import dgen_mpi

RATIOS = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0)
UNIT = 128 << 10


def measured(data: memoryview, compress: Callable[[memoryview], bytes]) -> float:
    """Return bytes per compressed byte, each unit of 128 KiB compressed by itself."""
    pieces = [data[start : start + UNIT] for start in range(0, len(data), UNIT)]
    return len(data) / sum(len(compress(piece)) for piece in pieces)


def deduplicated(data: memoryview, unit: int) -> float:
    """Return blocks per distinct block."""
    blocks = [bytes(data[start : start + unit]) for start in range(0, len(data), unit)]
    return len(blocks) / len(set(blocks))


def drawn(results: dict[str, list[float]]) -> Figure:
    """Draw what was measured over what was asked for."""
    figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
    axes.plot(RATIOS, RATIOS, color="0.7", label="asked for")
    for (name, ratios), marker in zip(results.items(), "osd^", strict=False):
        axes.plot(RATIOS, ratios, marker, label=name, alpha=0.8)
    axes.set(xlabel="ratio asked for", ylabel="ratio measured", title="dgen-mpi, units of 128 KiB")
    axes.legend()
    return figure


def main() -> None:
    """Print a table, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path, help="the PNG or SVG file to write")
    parser.add_argument("--size", type=int, default=60, help="MiB of each data set (default: 60)")
    options = parser.parse_args()
    codecs: dict[str, Callable[[memoryview], bytes]] = {
        "lz4": lambda piece: lz4.block.compress(piece, store_size=False),
        "zstd -3": zstandard.ZstdCompressor(level=3).compress,
        "zlib": lambda piece: zlib.compress(piece, 6),
    }
    results: dict[str, list[float]] = {name: [] for name in (*codecs, "dedup, 1 MiB")}
    print(f"{'asked for':>10}" + "".join(f"{name:>14}" for name in results))
    for ratio in RATIOS:
        data = memoryview(
            dgen_mpi.generate_buffer(
                options.size << 20, dedup_ratio=ratio, compress_ratio=ratio, seed=1
            )
        )
        for name, compress in codecs.items():
            results[name].append(measured(data, compress))
        results["dedup, 1 MiB"].append(deduplicated(data, 1 << 20))
        print(f"{ratio:>10}" + "".join(f"{column[-1]:>14.3f}" for column in results.values()))
    drawn(results).savefig(options.picture, dpi=150)


if __name__ == "__main__":
    main()
