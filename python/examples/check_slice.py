# SPDX-License-Identifier: MIT OR Apache-2.0
"""Check a slice of a file that any number of MPI ranks wrote: only the slice is read."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dgen_mpi import DataSpec


def main() -> None:
    """Compare a slice with what the manifest beside the file says that it holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="a file that dgen-mpi wrote")
    parser.add_argument("offset", type=int)
    parser.add_argument("length", type=int)
    options = parser.parse_args()
    spec = DataSpec.from_manifest(options.path)
    with options.path.open("rb") as file:
        file.seek(options.offset)
        found = file.read(options.length)
    damage = spec.compare(found, options.offset)
    for damaged in damage:
        print(f"damaged: {damaged.bytes} bytes at {damaged.offset}, {damaged.wrong_bytes} wrong")
    if damage or len(found) < options.length:
        sys.exit(f"{len(found)} bytes found, {damage.wrong_bytes} wrong")
    print(f"{len(found)} bytes at {options.offset} are right")


if __name__ == "__main__":
    main()
