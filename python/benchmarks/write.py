# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measure the write bandwidth of dgen-mpi, with IOR beside it where there is one.

All cases run in turn, over and over and in changing order, so that a change of the machine's speed
meets all of them; the medians are compared. Before each run a file of the same size is written and
deleted, so that no run pays for memory that the machine has not touched yet.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

MIB = 1 << 20


def mpirun(ranks: int, words: list[str]) -> str:
    """Run a program with some ranks and return what it printed."""
    environment = dict(os.environ)
    if os.geteuid() == 0:
        environment["OMPI_ALLOW_RUN_AS_ROOT"] = "1"
        environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    command = ["mpirun", "--oversubscribe", "-n", str(ranks), *words]
    done = subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True, timeout=600
    )
    return done.stdout


def dgen(program: str, folder: Path, ranks: int, transfer: str, size: int) -> float:
    """Return the bandwidth of one run of dgen-mpi in MiB/s."""
    file = folder / "dgen"
    options = ["-o", str(file), "-s", str(size), "-t", transfer, "--report", "-"]
    report = json.loads(mpirun(ranks, [program, *options]))
    return float(report["operations"][0]["bytes_per_second"]) / MIB


def ior(program: str, folder: Path, ranks: int, transfer: str, size: int) -> float:
    """Return the bandwidth of one run of IOR, which calls MPI-IO as dgen-mpi does, in MiB/s."""
    options = ["-a", "MPIIO", "-w", "-b", str(size // ranks), "-t", transfer.removesuffix("iB")]
    text = mpirun(ranks, [program, *options, "-o", str(folder / "ior")])
    found = re.search(r"^write\s+([0-9.]+)", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"no bandwidth in what {program} printed:\n{text}")
    return float(found[1])


def warm(folder: Path, size: int) -> None:
    """Write and delete as many bytes as the next run will write."""
    for path in folder.iterdir():
        path.unlink()
    throwaway = folder / "warm"
    with throwaway.open("wb") as file:
        for _ in range(size // MIB + 64):
            file.write(bytes(MIB))
    throwaway.unlink()


def main() -> None:
    """Run all cases in turn and print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="dgen-mpi", help="dgen-mpi to measure")
    parser.add_argument("--ior", default=shutil.which("ior"), help="IOR to compare with")
    parser.add_argument("--directory", default="/dev/shm", help="where to write")
    parser.add_argument("--mebibytes", type=int, default=1024, help="size of each file")
    parser.add_argument("--repeat", type=int, default=7, help="runs of each case")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--transfers", nargs="+", default=["64KiB", "256KiB", "1MiB", "4MiB", "16MiB"]
    )
    options = parser.parse_args()
    size = options.mebibytes * MIB
    programs = [("dgen-mpi", dgen, options.program)]
    if options.ior:
        programs.append(("IOR", ior, options.ior))
    cases = [
        (name, run, program, ranks, transfer)
        for ranks in options.ranks
        for transfer in options.transfers
        for name, run, program in programs
    ]
    measured: dict[tuple[str, int, str], list[float]] = {}
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        folder = Path(name)
        for turn in range(options.repeat):
            # Another order each turn: no case always runs after the same one.
            random.Random(turn).shuffle(cases)
            for kind, run, program, ranks, transfer in cases:
                warm(folder, size)
                rate = run(program, folder, ranks, transfer, size)
                measured.setdefault((kind, ranks, transfer), []).append(rate)
    print(
        f"write to {options.directory}, {options.mebibytes} MiB, MiB/s, "
        f"median (lowest to highest) of {options.repeat}"
    )
    print(f"{'ranks':>5}  {'transfer':>8}  {'dgen-mpi':>24}  {'IOR':>24}  ratio of medians")
    for ranks in options.ranks:
        for transfer in options.transfers:
            ours = measured[("dgen-mpi", ranks, transfer)]
            theirs = measured.get(("IOR", ranks, transfer), [])
            cells = [
                f"{statistics.median(x):8.0f} ({min(x):.0f} to {max(x):.0f})" if x else "-"
                for x in (ours, theirs)
            ]
            ratio = f"{statistics.median(ours) / statistics.median(theirs):.2f}" if theirs else "-"
            print(f"{ranks:5}  {transfer:>8}  {cells[0]:>24}  {cells[1]:>24}  {ratio}")


if __name__ == "__main__":
    main()
