# SPDX-License-Identifier: MIT OR Apache-2.0
"""Read a file that any number of MPI ranks wrote into GPU memory, and verify it there.

With kvikio the storage moves the bytes into that memory itself where it can (GPUDirect Storage);
without it they go through pinned memory of the host. Nothing is compared on the host.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cupy
import numpy as np

from dgen_mpi import DataSpec

CHUNK_BYTES = 256 << 20


@contextmanager
def reader(path: Path) -> Iterator[Callable[[Any, int], int]]:
    """Give what reads bytes from an offset on into an array on the GPU, and says how many."""
    try:
        import kvikio
    except ImportError:
        pinned = np.frombuffer(cupy.cuda.alloc_pinned_memory(CHUNK_BYTES), np.uint8, CHUNK_BYTES)
        with path.open("rb") as file:

            def read(array: Any, offset: int) -> int:  # noqa: ANN401
                file.seek(offset)
                count = file.readinto(pinned[: array.size].data)
                array[:count].set(pinned[:count])
                return count

            yield read
        return
    with kvikio.CuFile(path, "r") as direct:
        yield lambda array, offset: int(direct.read(array, file_offset=offset))


def main() -> None:
    """Compare a file with what the manifest beside it says that it holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="a file that dgen-mpi wrote")
    options = parser.parse_args()
    spec = DataSpec.from_manifest(options.path)
    size = options.path.stat().st_size
    end = min(size, spec.size)
    memory = cupy.empty(min(CHUNK_BYTES, end), cupy.uint8)
    offset = wrong = 0
    with reader(options.path) as read:
        while offset < end:
            count = read(memory[: end - offset], offset)
            if count == 0:
                break
            damage = spec.compare(memory[:count], offset)
            for damaged in damage:
                print(f"{damaged.kind}: {damaged.bytes} bytes at {damaged.offset}")
            wrong += damage.wrong_bytes
            offset += count
    print(f"{offset} bytes compared on the GPU, {wrong} of them wrong")
    missing, more = spec.size - offset, max(0, size - spec.size)
    if wrong or missing or more:
        sys.exit(f"{missing} bytes are not there, {more} are too many, {wrong} are wrong")


if __name__ == "__main__":
    main()
