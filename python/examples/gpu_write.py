# SPDX-License-Identifier: MIT OR Apache-2.0
"""Make a data set in GPU memory, and write it to a file that `mpirun dgen-mpi verify` verifies.

With kvikio the storage takes the bytes from that memory itself where it can (GPUDirect Storage).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cupy

from dgen_mpi import DataSpec, __version__

CHUNK_BYTES = 256 << 20


def writer(path: Path) -> Callable[[Any], None]:
    """Return what writes an array on the GPU behind what it has written before."""
    try:
        import kvikio
    except ImportError:
        file = path.open("wb")

        def write(array: Any) -> None:  # noqa: ANN401
            file.write(cupy.asnumpy(array).data)
            file.flush()

        return write
    direct, offset = kvikio.CuFile(path, "w"), 0

    def write_directly(array: Any) -> None:  # noqa: ANN401
        nonlocal offset
        # kvikio does not look at streams: what is made must be there.
        cupy.cuda.get_current_stream().synchronize()
        offset += direct.write(array, file_offset=offset)

    return write_directly


def main() -> None:
    """Write a file and its manifest, and say how it is verified."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--size", type=int, default=1 << 30, help="bytes (default: 1 GiB)")
    options = parser.parse_args()
    spec = DataSpec(options.size, seed=42, dedup_ratio=2, compress_ratio=1.5)
    manifest = {
        "format": "dgen/1",
        "status": "writing",
        "spec": spec.as_dict(),
        "created_by": f"dgen-mpi {__version__}",
    }
    beside = options.path.with_name(f"{options.path.name}.dgen.json")
    beside.write_text(json.dumps(manifest))
    write = writer(options.path)
    memory = cupy.empty(CHUNK_BYTES, cupy.uint8)
    for offset in range(0, spec.size, CHUNK_BYTES):
        part = memory[: spec.size - offset]
        spec.fill(part, offset)
        write(part)
    beside.write_text(json.dumps({**manifest, "status": "complete"}))
    print(f"{spec.size} bytes made on the GPU and written; mpirun dgen-mpi verify {options.path}")


if __name__ == "__main__":
    main()
