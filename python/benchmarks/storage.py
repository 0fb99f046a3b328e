# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measure how dgen-mpi writes, reads and verifies a file, with IOR beside it where there is one.

All cases run in turn, over and over and in changing order, and the two programs follow one another
in each, now one and now the other first, so that a change of the machine's speed meets both. Each
run goes through its phases several times with a new file each time; the medians of two such
neighbours are compared, and the median of these ratios over all turns is what counts. Before each
run a file of the same size is written and deleted, so that no run pays for memory that the machine
has not touched yet. Both programs write with the same MPI library, ranks, transfer size and total
size, bring the data to stable storage, and read back on the rank that wrote.
"""

from __future__ import annotations

import json
import os
import random
import re
import statistics
import tempfile
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
    """Return the bandwidth of IOR's write and read."""
    return ior_phases(program, file, case, size, repetitions, "-r")


def ior_checked(program: str, file: Path, case: Case, size: int, repetitions: int) -> Rates:
    """Return the bandwidth of IOR's checked read, for which it writes another pattern."""
    rates = ior_phases(program, file, case, size, repetitions, "-R")
    return {"verify": rates["read"]}


def ior_phases(
    program: str, file: Path, case: Case, size: int, repetitions: int, reading: str
) -> Rates:
    """Return the bandwidth of both phases of a run of IOR that reads as an option of it says."""
    words = [program, *ACCESS[case.access][1], "-e", "-b", str(size // case.ranks), "-o", str(file)]
    words += ["-t", case.transfer.removesuffix("iB"), "-i", str(repetitions), "-w", reading]
    text = mpirun(case.ranks, words)
    # A line for each repetition; a summary follows.
    lines, _, _ = text.partition("Summary of all tests")
    rates: Rates = {}
    for phase, rate in re.findall(r"^(write|read)\s+([0-9.]+)", lines, re.MULTILINE):
        rates.setdefault(phase, []).append(float(rate))
    if any(len(rates.get(phase, [])) != repetitions for phase in ("write", "read")):
        raise RuntimeError(f"not {repetitions} repetitions in what {program} printed:\n{text}")
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


Turns = dict[int, list[float]]
"""Bandwidth in MiB/s of one phase in each turn that measured it."""


def rates_cell(turns: Turns) -> str:
    """Return the median of all rates, with the lowest and the highest."""
    rates = [rate for of_turn in turns.values() for rate in of_turn]
    if not rates:
        return "-"
    return f"{statistics.median(rates):8.0f} ({min(rates):.0f} to {max(rates):.0f})"


def ratio_cell(ours: Turns, theirs: Turns) -> str:
    """Return the median of the ratios in each turn, with their quartiles."""
    ratios = [
        statistics.median(ours[turn]) / statistics.median(theirs[turn])
        for turn in ours.keys() & theirs.keys()
    ]
    if len(ratios) < 2:
        return f"{ratios[0]:.2f}" if ratios else "-"
    lower, middle, upper = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{middle:.2f} ({lower:.2f} to {upper:.2f})"


def row(case: Case, phase: str, ours: Turns, theirs: Turns) -> str:
    """Return a line of the table."""
    return (
        f"{case.access:>10}  {case.ranks:5}  {case.transfer:>8}  {phase:>6}  "
        f"{rates_cell(ours):>24}  {rates_cell(theirs):>24}  {ratio_cell(ours, theirs)}"
    )


CHECKED_TURNS = 4
"""IOR's checked read is measured every so many turns: it takes longest, and differs most."""


def main() -> None:
    """Run all cases in turn and print a table of medians."""
    parser = launching.parser(__doc__.splitlines()[0])
    parser.add_argument("--mebibytes", type=int, default=256, help="size of each file")
    parser.add_argument("--repeat", type=int, default=8, help="turns of all cases")
    parser.add_argument("--repetitions", type=int, default=3, help="of the phases in each run")
    parser.add_argument("--access", nargs="+", default=list(ACCESS), choices=list(ACCESS))
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--transfers", nargs="+", default=["64KiB", "1MiB", "4MiB", "16MiB"])
    parser.add_argument("--compress-ratio", default="1", help="of what dgen-mpi writes")
    options = parser.parse_args()
    if not options.ior:
        print("no ior on the PATH, and none in IOR: measuring without it")
    size = options.mebibytes * MIB
    os.environ["DGEN_COMPRESS_RATIO"] = options.compress_ratio
    cases = [
        Case(access, ranks, transfer)
        for access in options.access
        for ranks in options.ranks
        for transfer in options.transfers
    ]
    measured: dict[tuple[str, Case, str], Turns] = {}
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        folder = Path(name)
        for turn in range(options.repeat):
            # Another order each turn: no run always follows the same one.
            order = random.Random(turn)
            for case in order.sample(cases, len(cases)):
                runs = [("dgen-mpi", dgen, options.program)]
                if options.ior:
                    runs.append(("IOR", ior, options.ior))
                    order.shuffle(runs)
                    if turn % CHECKED_TURNS == 0:
                        runs.append(("IOR", ior_checked, options.ior))
                for kind, run, program in runs:
                    warm(folder, size)
                    rates = run(program, folder / kind, case, size, options.repetitions)
                    for phase, of_phase in rates.items():
                        measured.setdefault((kind, case, phase), {})[turn] = of_phase
    print(
        f"{options.directory}, {options.mebibytes} MiB, compress ratio {options.compress_ratio}, "
        f"MiB/s, median (lowest to highest) of {options.repeat * options.repetitions}; "
        "ratio of neighbouring runs, median (quartiles); IOR's verify is its checked read"
    )
    print(
        f"{'access':>10}  {'ranks':>5}  {'transfer':>8}  {'phase':>6}  "
        f"{'dgen-mpi':>24}  {'IOR':>24}  ratio"
    )
    for case in cases:
        for phase in ("write", "read", "verify"):
            ours, theirs = (measured.get((kind, case, phase), {}) for kind in ("dgen-mpi", "IOR"))
            print(row(case, phase, ours, theirs))


if __name__ == "__main__":
    main()
