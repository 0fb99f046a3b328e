# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measure how near contents come to the ratios asked for, with dgen-py and fio beside.

Every unit is compressed on its own, as storage does, and counts as it is where it does not become
smaller; the table has requested ratios against measured ones. dgen-py and fio are left out where
they are not installed.
"""

from __future__ import annotations

import argparse
import importlib
import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from dgen_mpi import DataSpec
from dgen_mpi.analyze import analyze

KIB, MIB = 1 << 10, 1 << 20
UNITS = [4 * KIB << power for power in range(9)]
COMPRESS = [1, 1.25, 1.5, 2, 3, 5, 10]
DEDUP = [1, 1.5, 2, 3, 4, 10]
DEDUP_UNITS = [4 * KIB, 64 * KIB, MIB]

Maker = Callable[[Path, int, float, float], None]


def ours(path: Path, size: int, dedup: float, compress: float) -> None:
    """Write a data set of ours."""
    made = bytearray(size)
    DataSpec(size, 1, dedup_ratio=dedup, compress_ratio=compress).fill(made)
    path.write_bytes(made)


def peers() -> dict[str, Maker]:
    """Return what else makes data and is installed."""
    made: dict[str, Maker] = {}
    try:
        dgen_py = importlib.import_module("dgen_py")
    except ImportError:
        print("dgen-py is not installed, and left out")
    else:

        def with_dgen_py(path: Path, size: int, dedup: float, compress: float) -> None:
            buffer = dgen_py.generate_buffer(size, dedup_ratio=dedup, compress_ratio=compress)
            path.write_bytes(memoryview(buffer))

        made["dgen-py"] = with_dgen_py
    if fio := shutil.which("fio"):

        def with_fio(path: Path, size: int, dedup: float, compress: float) -> None:
            words = [f"--filename={path}", f"--size={size}", "--name=w", "--rw=write", "--bs=1M"]
            if compress > 1:
                percentage = round(100 - 100 / compress)
                words += [f"--buffer_compress_percentage={percentage}", "--refill_buffers"]
            else:
                words += ["--refill_buffers"]
            if dedup > 1:
                words += [f"--dedupe_percentage={round(100 - 100 / dedup)}"]
            subprocess.run([fio, *words], check=True, capture_output=True, cwd=path.parent)

        made["fio"] = with_fio
    else:
        print("fio is not installed, and left out")
    return made


def size_name(size: int) -> str:
    """Return a unit as people write it."""
    return f"{size // MIB}M" if size >= MIB else f"{size // KIB}K"


def rows(make: Maker, folder: Path, size: int, codecs: list[str]) -> list[str]:
    """Return the lines of a table for one maker of data."""
    path = folder / "data"
    heads = "".join(f"{size_name(unit):>8}" for unit in UNITS)
    lines = [f"  {'compress':>9} {'codec':>7}{heads}"]
    for ratio in COMPRESS:
        make(path, size, 1, ratio)
        found = analyze(path, dedup_units=(), chunk_units=(), compress_units=UNITS, codecs=codecs)
        for codec in codecs:
            cells = [it["ratio"] for it in found["compression"] if it["codec"] == codec]
            lines.append(f"  {ratio:>9} {codec:>7}" + "".join(f"{cell:8.3f}" for cell in cells))
    heads = "".join(f"{size_name(unit):>8}" for unit in DEDUP_UNITS)
    lines.append(f"  {'dedup':>9} {'blocks':>7}{heads}   64K chunks by content   zstd at 1M")
    for ratio in DEDUP:
        make(path, size, ratio, 1)
        found = analyze(
            path,
            dedup_units=DEDUP_UNITS,
            chunk_units=[64 * KIB],
            compress_units=[MIB],
            codecs=["zstd"],
        )
        *fixed, chunks = [it["ratio"] for it in found["dedup"]]
        zstd = found["compression"][0]["ratio"]
        shown = "".join(f"{cell:8.3f}" for cell in fixed)
        lines.append(f"  {ratio:>9} {'':>7}{shown}{chunks:24.3f}{zstd:13.3f}")
    return lines


def main() -> None:
    """Measure all makers and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mebibytes", type=int, default=60, help="of each data set")
    parser.add_argument("--codecs", nargs="+", default=["lz4", "zstd-1", "zstd", "zlib", "snappy"])
    options = parser.parse_args()
    # Whole blocks for every ratio, so that none is cut short.
    size = math.ceil(options.mebibytes / 60) * 60 * MIB
    with tempfile.TemporaryDirectory() as name:
        for maker, make in {"dgen-mpi": ours, **peers()}.items():
            print(f"\n{maker}, {size // MIB} MiB: measured ratios by what was requested and unit")
            for line in rows(make, Path(name), size, options.codecs):
                print(line, flush=True)


if __name__ == "__main__":
    main()
