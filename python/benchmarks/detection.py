# SPDX-License-Identifier: MIT OR Apache-2.0
"""Compare what dgen-mpi's verification and IOR's (`-R`) say of the same harm done to their files.

Both write with four ranks in transfers of 1 MiB. A line for each case says how many errors each of
them counts; what is intact should have none.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import launching
from launching import mpirun

MIB = 1 << 20
SIZE = 64 * MIB


def swap(file: Path) -> None:
    """Exchange two transfers of one rank, as a store does that mixes up its blocks."""
    with file.open("r+b") as data:
        data.seek(2 * MIB)
        first, second = data.read(MIB), data.read(MIB)
        data.seek(2 * MIB)
        data.write(second + first)


def spoil(file: Path) -> None:
    """Change one byte."""
    with file.open("r+b") as data:
        data.seek(20_000_000)
        byte = data.read(1)[0]
        data.seek(20_000_000)
        data.write(bytes([byte ^ 0x40]))


def leave(_: Path) -> None:
    """Do nothing."""


CASES: list[tuple[str, Callable[[Path], None], int, int]] = [
    ("intact, as it was written", leave, 4, MIB),
    ("intact, read by 2 ranks", leave, 2, MIB),
    ("intact, read in transfers of 256 KiB", leave, 4, MIB // 4),
    ("one bit flipped", spoil, 4, MIB),
    ("two transfers of one rank exchanged", swap, 4, MIB),
]


def ours(program: str, file: Path, harm: Callable[[Path], None], ranks: int, size: int) -> str:
    """Return what dgen-mpi finds."""
    words = ["-o", str(file), "-s", str(SIZE), "-t", str(MIB), "--overwrite", "--quiet"]
    mpirun(4, [program, *words])
    harm(file)
    # A difference is a status of its own.
    words = [program, "verify", str(file), "-t", str(size), "--report", "-"]
    report = json.loads(mpirun(ranks, words, check=False))
    # What is of several kinds, or of several origins, has parts.
    parts = [part for it in report["damage"] for part in it.get("parts") or [it]]
    found = [f"{part['kind']} at {part['offset']}" for part in parts]
    return f"{report['damage_ranges']} ({', '.join(found)})" if found else "0"


def theirs(program: str, file: Path, harm: Callable[[Path], None], ranks: int, size: int) -> str:
    """Return what IOR finds."""
    words = [program, "-a", "MPIIO", "-k", "-G", "7", "-o", str(file)]
    mpirun(4, [*words, "-w", "-b", str(SIZE // 4), "-t", str(MIB)])
    harm(file)
    text = mpirun(ranks, [*words, "-R", "-b", str(SIZE // ranks), "-t", str(size)], check=False)
    found = re.search(r"\((\d+) errors found\)", text)
    return found[1] if found else "0"


def main() -> None:
    """Print a line for each case."""
    parser = launching.parser(__doc__.splitlines()[0])
    options = parser.parse_args()
    if not options.ior:
        print("no ior on the PATH, and none in IOR: nothing to compare verification with")
        return
    print(f"{'errors that are found in a file that is':42}  {'IOR -R':>7}  dgen-mpi verify")
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        file = Path(name) / "data"
        for title, harm, ranks, size in CASES:
            print(
                f"{title:42}  {theirs(options.ior, file, harm, ranks, size):>7}  "
                f"{ours(options.program, file, harm, ranks, size)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
