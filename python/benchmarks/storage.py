# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measure how dgen-mpi writes, reads and verifies a file, with IOR beside it where there is one.

All cases run in turn, over and over and in changing order, so that a change of the machine's speed
meets all of them; each run goes through its phases several times with a new file each time, and the
medians are compared. Before each run a file of the same size is written and deleted, so that no run
pays for memory that the machine has not touched yet. Both programs write with the same MPI library,
ranks, transfer size and total size, bring the data to stable storage, and read back on the rank
that wrote.
"""

from __future__ import annotations

import json
import os
import random
import re
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
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

Rates = dict[str, list[float]]
"""Bandwidth in MiB/s of each phase, each time that a run goes through it."""


@dataclass(frozen=True)
class Case:
    """What both programs do alike."""

    access: str
    ranks: int
    transfer: str


def dgen(program: str, file: Path, case: Case, size: int, repetitions: int) -> Rates:
    """Return the bandwidth of each phase of a run of dgen-mpi."""
    words = [program, "test", "-o", str(file), "-s", str(size), "-t", case.transfer]
    words += ["--repeat", str(repetitions), "--read-order", "same", "--report", "-"]
    report = json.loads(mpirun(case.ranks, words + ACCESS[case.access][0]))
    rates: Rates = {}
    for it in report["operations"]:
        rates.setdefault(it["operation"], []).append(it["bytes_per_second"] / MIB)
    return rates


def ior(program: str, file: Path, case: Case, size: int, repetitions: int) -> Rates:
    """Return the bandwidth of IOR's write, read, and checked read."""
    words = [program, *ACCESS[case.access][1], "-e", "-b", str(size // case.ranks), "-o", str(file)]
    words += ["-t", case.transfer.removesuffix("iB"), "-i", str(repetitions)]
    rates: Rates = {}
    for phases, name in ((["-w", "-r"], "read"), (["-w", "-R"], "verify")):
        text = mpirun(case.ranks, [*words, *phases])
        # A line for each repetition; a summary follows.
        lines, _, _ = text.partition("Summary of all tests")
        found = re.findall(r"^(write|read)\s+([0-9.]+)", lines, re.MULTILINE)
        if len(found) != 2 * repetitions:
            raise RuntimeError(f"not {repetitions} repetitions in what {program} printed:\n{text}")
        rates[name] = [float(rate) for phase, rate in found if phase == "read"]
        # Those of the first run: the second writes another pattern, to check it.
        rates.setdefault("write", [float(rate) for phase, rate in found if phase == "write"])
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


def row(case: Case, phase: str, ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return a line of the table."""
    cells = [
        f"{statistics.median(x):8.0f} ({min(x):.0f} to {max(x):.0f})" if x else "-"
        for x in (ours, theirs)
    ]
    ratio = f"{statistics.median(ours) / statistics.median(theirs):.2f}" if theirs else "-"
    return (
        f"{case.access:>10}  {case.ranks:5}  {case.transfer:>8}  {phase:>6}  "
        f"{cells[0]:>24}  {cells[1]:>24}  {ratio}"
    )


def main() -> None:
    """Run all cases in turn and print a table of medians."""
    parser = launching.parser(__doc__.splitlines()[0])
    parser.add_argument("--mebibytes", type=int, default=256, help="size of each file")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each case")
    parser.add_argument("--repetitions", type=int, default=4, help="of the phases in each run")
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
        Case(access, ranks, transfer)
        for access in options.access
        for ranks in options.ranks
        for transfer in options.transfers
    ]
    measured: dict[tuple[str, Case, str], list[float]] = {}
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        folder = Path(name)
        for turn in range(options.repeat):
            # Another order each turn: no run always follows the same one.
            runs = [(case, program) for case in cases for program in programs]
            random.Random(turn).shuffle(runs)
            for case, (kind, run, program) in runs:
                warm(folder, size)
                rates = run(program, folder / kind, case, size, options.repetitions)
                for phase, of_phase in rates.items():
                    measured.setdefault((kind, case, phase), []).extend(of_phase)
    print(
        f"{options.directory}, {options.mebibytes} MiB, compress ratio {options.compress_ratio}, "
        f"MiB/s, median (lowest to highest) of {options.repeat * options.repetitions}; "
        "IOR's verify is its checked read"
    )
    print(
        f"{'access':>10}  {'ranks':>5}  {'transfer':>8}  {'phase':>6}  "
        f"{'dgen-mpi':>24}  {'IOR':>24}  ratio of medians"
    )
    for case in cases:
        for phase in ("write", "read", "verify"):
            ours, theirs = (measured.get((kind, case, phase), []) for kind in ("dgen-mpi", "IOR"))
            print(row(case, phase, ours, theirs))


if __name__ == "__main__":
    main()
