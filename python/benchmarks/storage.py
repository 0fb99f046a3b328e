# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measure how dgen-mpi writes, reads and verifies a file, with IOR beside it where there is one.

All cases run in turn, over and over and in changing order, so that a change of the machine's speed
meets all of them; the medians are compared. Before each run a file of the same size is written and
deleted, so that no run pays for memory that the machine has not touched yet. Both programs write
with the same MPI library, ranks, transfer size and total size, bring the data to stable storage,
and read back on the rank that wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import launching
from launching import mpirun

MIB = 1 << 20

ACCESS = {
    "mpi": (["--io", "mpi"], ["-a", "MPIIO"]),
    "collective": (["--io", "mpi", "--collective"], ["-a", "MPIIO", "-c"]),
    "posix": (["--io", "posix"], ["-a", "POSIX"]),
}
"""Ways to write and read, as each of the two programs is told."""

Rates = dict[str, float]


def dgen(program: str, file: Path, access: str, ranks: int, transfer: str, size: int) -> Rates:
    """Return the bandwidth in MiB/s of each phase of one run of dgen-mpi."""
    words = [program, "test", "-o", str(file), "-s", str(size), "-t", transfer]
    words += ["--read-order", "same", "--report", "-", *ACCESS[access][0]]
    report = json.loads(mpirun(ranks, words))
    return {it["operation"]: it["bytes_per_second"] / MIB for it in report["operations"]}


def ior(program: str, file: Path, access: str, ranks: int, transfer: str, size: int) -> Rates:
    """Return the bandwidth in MiB/s of IOR's write, read, and checked read."""
    words = [program, *ACCESS[access][1], "-e", "-b", str(size // ranks), "-o", str(file)]
    words += ["-t", transfer.removesuffix("iB"), "-k"]
    rates = {}
    for phases, name in ((["-w", "-r"], "read"), (["-w", "-R"], "verify")):
        text = mpirun(ranks, [*words, *phases])
        found = dict(re.findall(r"^(write|read)\s+([0-9.]+)", text, re.MULTILINE))
        if set(found) != {"write", "read"}:
            raise RuntimeError(f"no bandwidth in what {program} printed:\n{text}")
        rates[name] = float(found["read"])
        # The first one: the second writes another pattern over the same file.
        rates.setdefault("write", float(found["write"]))
    return rates


def warm(folder: Path, size: int) -> None:
    """Write and delete as many bytes as the next run will write."""
    for path in folder.iterdir():
        path.unlink()
    throwaway = folder / "warm"
    with throwaway.open("wb") as file:
        for _ in range(size // MIB + 64):
            file.write(bytes(MIB))
    throwaway.unlink()


def rows(
    options: argparse.Namespace, measured: dict[tuple[str, str, int, str], list[Rates]]
) -> Iterator[str]:
    """Yield a line for each case and phase."""
    for access in options.access:
        for ranks in options.ranks:
            for transfer in options.transfers:
                for phase in ("write", "read", "verify"):
                    ours, theirs = (
                        [
                            rates[phase]
                            for rates in measured.get((name, access, ranks, transfer), [])
                        ]
                        for name in ("dgen-mpi", "IOR")
                    )
                    cells = [
                        f"{statistics.median(x):8.0f} ({min(x):.0f} to {max(x):.0f})" if x else "-"
                        for x in (ours, theirs)
                    ]
                    ratio = "-"
                    if theirs:
                        ratio = f"{statistics.median(ours) / statistics.median(theirs):.2f}"
                    yield (
                        f"{access:>10}  {ranks:5}  {transfer:>8}  {phase:>6}  "
                        f"{cells[0]:>24}  {cells[1]:>24}  {ratio}"
                    )


def main() -> None:
    """Run all cases in turn and print a table of medians."""
    parser = launching.parser(__doc__.splitlines()[0])
    parser.add_argument("--mebibytes", type=int, default=1024, help="size of each file")
    parser.add_argument("--repeat", type=int, default=7, help="runs of each case")
    parser.add_argument("--access", nargs="+", default=list(ACCESS), choices=list(ACCESS))
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--transfers", nargs="+", default=["64KiB", "1MiB", "4MiB", "16MiB"])
    parser.add_argument("--compress-ratio", default="1", help="of what dgen-mpi writes")
    options = parser.parse_args()
    if not options.ior:
        print("no ior on the PATH, and none in IOR: measuring without it")
    size = options.mebibytes * MIB
    os.environ["DGEN_COMPRESS_RATIO"] = options.compress_ratio
    programs = [("dgen-mpi", dgen, options.program)]
    if options.ior:
        programs.append(("IOR", ior, options.ior))
    cases = [
        (name, run, program, access, ranks, transfer)
        for access in options.access
        for ranks in options.ranks
        for transfer in options.transfers
        for name, run, program in programs
    ]
    measured: dict[tuple[str, str, int, str], list[Rates]] = {}
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        folder = Path(name)
        for turn in range(options.repeat):
            # Another order each turn: no case always runs after the same one.
            random.Random(turn).shuffle(cases)
            for kind, run, program, access, ranks, transfer in cases:
                warm(folder, size)
                rates = run(program, folder / kind, access, ranks, transfer, size)
                measured.setdefault((kind, access, ranks, transfer), []).append(rates)
    print(
        f"{options.directory}, {options.mebibytes} MiB, compress ratio {options.compress_ratio}, "
        f"MiB/s, median (lowest to highest) of {options.repeat}; IOR's verify is its checked read"
    )
    print(
        f"{'access':>10}  {'ranks':>5}  {'transfer':>8}  {'phase':>6}  "
        f"{'dgen-mpi':>24}  {'IOR':>24}  ratio of medians"
    )
    for row in rows(options, measured):
        print(row)


if __name__ == "__main__":
    main()
