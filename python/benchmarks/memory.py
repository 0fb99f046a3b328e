# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measure how fast dgen-mpi fills memory, beside the peers that are installed.

dgen-py, numpy and `os.urandom` are measured in turn with `dgen-mpi bench`, over and over, so that a
change of the machine's speed meets all of them; medians are compared.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

KIB, MIB = 1 << 10, 1 << 20
SIZES = (4 * KIB, 64 * KIB, MIB, 256 * MIB)


@dataclass(frozen=True)
class Case:
    """What is measured: a program or library, an operation, and how it is asked."""

    program: str
    operation: str
    size: int
    threads: int = 1
    compress: float = 1
    dedup: float = 1
    set: str = "stream"


@dataclass
class Rates:
    """Bytes per second of each case, one for each round."""

    rounds: dict[Case, list[float]] = field(default_factory=dict)

    def add(self, case: Case, rate: float) -> None:
        """Note one more round."""
        self.rounds.setdefault(case, []).append(rate)

    def median(self, case: Case) -> float | None:
        """Return the median of a case, if it was measured."""
        rates = self.rounds.get(case)
        return statistics.median(rates) if rates else None

    def ratio(self, first: Case, second: Case) -> str:
        """Return how many times as fast one case is as another: the median over the rounds."""
        if first not in self.rounds or second not in self.rounds:
            return "-"
        pairs = zip(self.rounds[first], self.rounds[second], strict=True)
        return f"{statistics.median(a / b for a, b in pairs):.2f}"


def optional(name: str) -> Any:  # noqa: ANN401 - a module whose types are not known here
    """Import a module, or return None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def ours(program: str, milliseconds: int, rates: Rates, options: list[str]) -> None:
    """Run `dgen-mpi bench` once, with one counted round."""
    command = [program, "bench", "--repeat", "1", "--milliseconds", str(milliseconds)]
    done = subprocess.run(
        [*command, "--report", "-", *options], check=True, capture_output=True, text=True
    )
    for case in json.loads(done.stdout)["cases"]:
        key = Case(
            case["kernel"],
            case["operation"],
            case["buffer_bytes"],
            case["threads"],
            case["compress_ratio"],
            case["dedup_ratio"],
            case.get("set", "stream"),
        )
        # Whatever was measured twice in this round counts once.
        if len(rates.rounds.get(key, [])) < len(rates.rounds.get(ROUND, [])):
            rates.add(key, case["median"])


ROUND = Case("round", "", 0)


def rate(call: Callable[[], object], size: int, milliseconds: int) -> float:
    """Return the bytes per second of a call that makes `size` bytes."""
    call()
    calls = 0
    start = time.perf_counter()
    while True:
        call()
        calls += 1
        elapsed = time.perf_counter() - start
        if elapsed * 1000 >= milliseconds:
            return calls * size / elapsed


def peers(processors: int) -> dict[Case, Callable[[], object]]:
    """Return a call for every case of the peers that are installed."""
    calls: dict[Case, Callable[[], object]] = {}
    dgen_py, numpy = optional("dgen_py"), optional("numpy")
    for size in SIZES:
        if size <= MIB:
            calls[Case("os.urandom", "fill", size)] = functools.partial(os.urandom, size)
        if numpy:
            words = numpy.random.Generator(numpy.random.SFC64(1))
            calls[Case("numpy", "fill", size)] = functools.partial(words.bytes, size)
        for threads in sorted({1, processors}) if dgen_py else []:
            if threads > 1 and size < MIB:
                continue
            # It makes a MiB at least, of which smaller buffers get a part; and it needs memory for
            # each of them, so no more than what is used here.
            chunks = dgen_py.Generator(size=1 << 40, chunk_size=max(size, MIB), max_threads=threads)
            buffer = bytearray(size)
            calls[Case("dgen-py", "fill", size, threads)] = functools.partial(
                chunks.fill_chunk, buffer
            )
    return calls


def size_name(size: int) -> str:
    """Return a size as dgen-mpi takes it."""
    return f"{size // MIB}MiB" if size >= MIB else f"{size // KIB}KiB"


def show(rates: Rates, fastest: str, kernels: list[str], processors: int) -> None:
    """Print the medians, and then the ratios."""
    columns = [*kernels, "dgen-py", "numpy", "os.urandom", "memset", "memcpy"]
    print(f"\nGB/s (10^9 bytes per second), median of {len(rates.rounds[ROUND])} rounds")
    print(f"{'buffer':>8} {'threads':>8} " + "".join(f"{name:>11}" for name in columns))
    for size in SIZES:
        for threads in sorted({1, processors}):
            cells = []
            for name in columns:
                is_libc = name in ("memset", "memcpy")
                case = Case("libc" if is_libc else name, name if is_libc else "fill", size, threads)
                median = rates.median(case)
                cells.append("-" if median is None else f"{median / 1e9:.2f}")
            if any(cell != "-" for cell in cells):
                print(
                    f"{size_name(size):>8} {threads:>8} " + "".join(f"{cell:>11}" for cell in cells)
                )

    def fill(
        size: int, threads: int = 1, compress: float = 1, dedup: float = 1, kernel: str = fastest
    ) -> Case:
        return Case(kernel, "fill", size, threads, compress, dedup)

    def dgen_py(size: int, threads: int = 1) -> Case:
        return Case("dgen-py", "fill", size, threads)

    large = 256 * MIB
    lines = [
        ("1 MiB, 1 thread: dgen-py", rates.ratio(fill(MIB), dgen_py(MIB))),
        ("1 MiB, 1 thread: memset", rates.ratio(fill(MIB), Case("libc", "memset", MIB))),
        ("256 MiB, 1 thread: dgen-py", rates.ratio(fill(large), dgen_py(large))),
        ("256 MiB, 1 thread: memset", rates.ratio(fill(large), Case("libc", "memset", large))),
        ("64 KiB in a row: dgen-py", rates.ratio(fill(64 * KIB), dgen_py(64 * KIB))),
        ("4 KiB in a row: 1 MiB", rates.ratio(fill(4 * KIB), fill(MIB))),
    ]
    if processors > 1:
        title = f"256 MiB, {processors} threads"
        lines += [
            (f"{title}: 1 thread", rates.ratio(fill(large, processors), fill(large))),
            (
                f"{title}: dgen-py with as many",
                rates.ratio(fill(large, processors), dgen_py(large, processors)),
            ),
            # Not at the limit of the memory.
            (
                f"{title}, scalar: 1 thread",
                rates.ratio(fill(large, processors, kernel="scalar"), fill(large, kernel="scalar")),
            ),
        ]
    for size in (MIB, large):
        lines += [
            (
                f"{size_name(size)}, compress {ratio}: incompressible",
                rates.ratio(fill(size, compress=ratio), fill(size)),
            )
            for ratio in (2, 4, 10)
        ]
        lines += [
            (f"{size_name(size)}, dedup 2: dedup 1", rates.ratio(fill(size, dedup=2), fill(size))),
            (
                f"{size_name(size)}: compare with fill",
                rates.ratio(Case(fastest, "compare", size), fill(size)),
            ),
        ]
    for size in (MIB, large):
        scattered = Case(fastest, "fill", size, set="scattered")
        lines += [
            (f"{size_name(size)}, scattered 4 KiB: version 1", rates.ratio(scattered, fill(size))),
            (
                f"{size_name(size)}, scattered 512 B: version 1",
                rates.ratio(Case(fastest, "fill", size, set="small"), fill(size)),
            ),
            (
                f"{size_name(size)}, mixed 4 KiB: scattered 4 KiB",
                rates.ratio(Case(fastest, "fill", size, set="mixed"), scattered),
            ),
        ]
    lines += [
        (f"1 MiB, {kernel}: dgen-py", rates.ratio(fill(MIB, kernel=kernel), dgen_py(MIB)))
        for kernel in kernels
        if kernel not in ("scalar", fastest)
    ]
    print(f"\nhow many times as fast ({fastest} unless another kernel is named)")
    width = max(len(name) for name, _ in lines)
    for name, ratio in lines:
        print(f"  {name:<{width}}  {ratio:>6}")
    for name in ("stream", "scattered"):
        position = rates.median(Case(fastest, "random", 4 * KIB, set=name))
        if position:
            microseconds = 4 * KIB / position * 1e6
            print(f"4 KiB at a random offset of 2^62 bytes, {name}: {microseconds:.2f} us")


def main() -> None:
    """Run all cases in turn and print tables of medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="dgen-mpi", help="dgen-mpi to measure")
    parser.add_argument("--repeat", type=int, default=9, help="rounds over all cases")
    parser.add_argument("--milliseconds", type=int, default=20, help="for a case in each round")
    options = parser.parse_args()
    info = json.loads(
        subprocess.run(
            [options.program, "info", "--report", "-"], check=True, capture_output=True, text=True
        ).stdout
    )
    kernels, fastest = info["kernels"], info["kernel"]
    processors = info["processors"]
    calls = peers(processors)
    for name in ("dgen_py", "numpy"):
        if optional(name) is None:
            print(f"{name} is not installed, and left out")
    one_kind = ["--compress-ratios", "1", "--dedup-ratios", "1"]
    sets = ["--sets", "stream,scattered,small,mixed"]
    rates = Rates()
    for _ in range(options.repeat):
        rates.add(ROUND, 0)
        for size in SIZES:
            here = ["--buffer-sizes", size_name(size)]
            runs = [["--operations", "fill", *one_kind]]
            if size >= MIB:
                one_thread = ["--kernels", fastest, "--threads", "1"]
                runs += [
                    ["--operations", "fill", *one_thread, "--dedup-ratios", "1"],
                    ["--operations", "fill,compare", *one_thread, "--compress-ratios", "1"],
                    ["--operations", "fill", *one_thread, *one_kind, *sets],
                ]
            if size == 4 * KIB:
                runs.append(["--operations", "random", "--kernels", fastest, *one_kind, *sets])
            for run in runs:
                ours(options.program, options.milliseconds, rates, here + run)
            for case, call in calls.items():
                if case.size == size:
                    rates.add(case, rate(call, size, options.milliseconds))
    show(rates, fastest, kernels, processors)


if __name__ == "__main__":
    main()
