# SPDX-License-Identifier: MIT OR Apache-2.0
"""Have the ranks of a program write a data set with MPI-IO themselves, as mpi4py has it.

mpirun -n 4 python mpi4py_write.py data --size 100000000
mpirun -n 3 dgen-mpi verify data
"""

from __future__ import annotations

import argparse

from mpi4py import MPI

from dgen_mpi import DataSet, DataSpec

TRANSFER = 4 << 20


def main() -> None:
    """Write each rank's part of one file, or a file of each rank."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
    parser.add_argument("--size", type=int, default=1 << 30)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--layout", choices=("shared", "per-rank"), default="shared")
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    spec = DataSpec(options.size, options.seed, dedup_ratio=2, compress_ratio=1.5)
    with DataSet.create(
        options.path,
        spec,
        layout=options.layout,
        transfer_size=TRANSFER,
        overwrite=options.overwrite,
        comm=comm,
    ) as data:
        part = data.part()
        # One file that all have open together, or one that each has open alone.
        together = comm if options.layout == "shared" else MPI.COMM_SELF
        before = 0 if options.layout == "shared" else part.start
        file = MPI.File.Open(together, str(part.path), MPI.MODE_WRONLY)
        buffer = bytearray(TRANSFER)
        for start in range(part.start, part.stop, TRANSFER):
            piece = memoryview(buffer)[: min(TRANSFER, part.stop - start)]
            spec.fill(piece, start)
            file.Write_at(start - before, piece)
        file.Sync()
        file.Close()
    if comm.Get_rank() == 0:
        print(f"{spec.size} bytes written by {comm.Get_size()} ranks")


if __name__ == "__main__":
    main()
