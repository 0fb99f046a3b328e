# SPDX-License-Identifier: MIT OR Apache-2.0
"""Make a data set in GPU memory, and write it to a file that `mpirun dgen-mpi verify` verifies.

With kvikio the storage takes the bytes from that memory itself where it can (GPUDirect Storage).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cupy

from dgen_mpi import DataSet, DataSpec

CHUNK_BYTES = 256 << 20


def made(spec: DataSpec) -> Iterator[Any]:
    """Yield the parts of a data set, one after another in the same memory of the GPU."""
    memory = cupy.empty(min(CHUNK_BYTES, spec.size), cupy.uint8)
    for offset in range(0, spec.size, CHUNK_BYTES):
        part = memory[: spec.size - offset]
        spec.fill(part, offset)
        yield part


def write(path: Path, parts: Iterator[Any]) -> None:
    """Write arrays on the GPU into a file that is there."""
    try:
        import kvikio
    except ImportError:
        with path.open("r+b") as file:
            for part in parts:
                file.write(cupy.asnumpy(part).data)
        return
    offset = 0
    with kvikio.CuFile(path, "r+") as file:
        for part in parts:
            # kvikio does not look at streams: what is made must be there.
            cupy.cuda.get_current_stream().synchronize()
            offset += file.write(part, file_offset=offset)


def main() -> None:
    """Write a file and its manifest, and say how it is verified."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--size", type=int, default=1 << 30, help="bytes (default: 1 GiB)")
    parser.add_argument("--overwrite", action="store_true", help="replace data that is there")
    options = parser.parse_args()
    spec = DataSpec(options.size, seed=42, dedup_ratio=2, compress_ratio=1.5)
    with DataSet.create(options.path, spec, overwrite=options.overwrite):
        write(options.path, made(spec))
    print(f"{spec.size} bytes made on the GPU and written; mpirun dgen-mpi verify {options.path}")


if __name__ == "__main__":
    main()
