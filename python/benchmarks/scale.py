# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measure what dgen-mpi costs as ranks grow: memory, messages and the time from launch to exit.

Beside it runs an MPI program that does nothing, built from the C below with ``mpicc``, and IOR
where there is one. Memory is the peak of the rank that needs most (``ru_maxrss``, which counts the
pages of libraries that ranks share for each of them). Messages are counted by Open MPI itself (its
monitoring components), at the rank that sends most.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import launching
from launching import mpirun

NOTHING = r"""
#include <mpi.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

// Without arguments an MPI program that does nothing; with them, runs another program and appends
// its peak memory in KiB to the file that the first one names.
int main(int count, char **words) {
    if (count > 2) {
        pid_t child = fork();
        if (child == 0) {
            execvp(words[2], words + 2);
            _exit(127);
        }
        int status = 0;
        struct rusage usage;
        if (child < 0 || wait4(child, &status, 0, &usage) != child) return 1;
        FILE *file = fopen(words[1], "a");
        if (!file || fprintf(file, "%ld\n", usage.ru_maxrss) < 0 || fclose(file) != 0) return 1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
    MPI_Init(&count, &words);
    MPI_Barrier(MPI_COMM_WORLD);
    return MPI_Finalize();
}
"""

MIB = 1 << 20


def seconds(ranks: int, words: list[str]) -> float:
    """Run a program with some ranks and return the time from launch to exit."""
    start = time.monotonic()
    mpirun(ranks, words)
    return time.monotonic() - start


def peak_memory(folder: Path, wrapper: Path, ranks: int, words: list[str]) -> float:
    """Return the MiB that the rank with most memory had at its peak."""
    peaks = folder / "peaks"
    peaks.unlink(missing_ok=True)
    mpirun(ranks, [str(wrapper), str(peaks), *words])
    return max(int(line) for line in peaks.read_text().split()) / 1024


def messages(folder: Path, ranks: int, words: list[str]) -> int:
    """Return how many messages the rank sent that sent most."""
    counts = folder / "messages"
    counts.mkdir(exist_ok=True)
    monitoring = {"enable": "2", "enable_output": "3", "filename": str(counts / "of")}
    options = [
        word
        for name, value in monitoring.items()
        for word in ("--mca", f"pml_monitoring_{name}", value)
    ]
    mpirun(ranks, words, options)
    most = 0
    for file in counts.glob("of.*.prof"):
        sent = re.findall(r"^[IE]\t.*?\t(\d+) msgs sent", file.read_text(), re.MULTILINE)
        most = max(most, sum(map(int, sent)))
        file.unlink()
    return most


def main() -> None:
    """Print a line for each number of ranks."""
    parser = launching.parser(__doc__.splitlines()[0])
    parser.add_argument("--mebibytes", type=int, default=64, help="size of the file")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each case")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4, 16, 64])
    options = parser.parse_args()
    if not options.ior:
        print("no ior on the PATH, and none in IOR: measuring without it")
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        folder = Path(name)
        source, nothing = folder / "nothing.c", folder / "nothing"
        source.write_text(NOTHING)
        subprocess.run(["mpicc", "-O2", "-o", str(nothing), str(source)], check=True)
        size = options.mebibytes * MIB
        print(
            f"{options.directory}, {options.mebibytes} MiB in calls of 1 MiB; launch to exit in "
            f"seconds, medians of {options.repeat}; memory in MiB, over a program that does nothing"
        )
        print("ranks  messages  memory    over  nothing  dgen-mpi      IOR")
        for ranks in options.ranks:
            file = str(folder / "data")
            ours = [options.program, "-o", file, "-s", str(size), "--overwrite", "--quiet"]
            cases = {"nothing": [str(nothing)], "dgen-mpi": ours}
            if options.ior:
                cases["IOR"] = [options.ior, "-a", "MPIIO", "-w", "-e", "-o", file]
                cases["IOR"] += ["-b", str(size // ranks), "-t", str(min(MIB, size // ranks))]
            measured: dict[str, list[float]] = {}
            for _ in range(options.repeat):
                for case, words in cases.items():
                    measured.setdefault(case, []).append(seconds(ranks, words))
            memory = {
                case: peak_memory(folder, nothing, ranks, cases[case])
                for case in ("nothing", "dgen-mpi")
            }
            times = {case: f"{statistics.median(all_):.2f}" for case, all_ in measured.items()}
            print(
                f"{ranks:5}  {messages(folder, ranks, ours):8}  {memory['dgen-mpi']:6.1f}  "
                f"{memory['dgen-mpi'] - memory['nothing']:6.1f}  {times['nothing']:>7}  "
                f"{times['dgen-mpi']:>8}  {times.get('IOR', '-'):>7}",
                flush=True,
            )


if __name__ == "__main__":
    main()
