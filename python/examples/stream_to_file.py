# SPDX-License-Identifier: MIT OR Apache-2.0
"""Write test data to a file with constant memory, and verify it."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from dgen_mpi import DataReader, DataSpec


def main() -> None:
    """Copy a data set to a file, as anything that takes a readable file would, and read it back."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--size", type=int, default=256 << 20, help="bytes (default: 256 MiB)")
    options = parser.parse_args()
    spec = DataSpec(options.size, seed=42, dedup_ratio=2, compress_ratio=1.5)
    with DataReader(spec) as source, options.path.open("wb") as target:
        shutil.copyfileobj(source, target, 4 << 20)
    offset = damaged = 0
    with options.path.open("rb") as file:
        while chunk := file.read(4 << 20):
            damaged += spec.compare(chunk, offset).wrong_bytes
            offset += len(chunk)
    print(f"{offset} bytes written and read back, {damaged} of them wrong")


if __name__ == "__main__":
    main()
