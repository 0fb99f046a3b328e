# SPDX-License-Identifier: MIT OR Apache-2.0
"""Compare what an update of a part of a data set takes with as many random writes by fio.

1 GiB in blocks of 4 KiB in memory, of which one percent changes; one rank, no sync. fio writes as
many blocks of that length at random places, one at a time. The two take turns.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

import launching

SIZE = 1 << 30
BLOCK = 4096
TURNS = 15


def ours(program: str, file: Path, generation: int) -> tuple[int, float]:
    """Return the blocks that an update to a generation writes, and the seconds that it takes."""
    words = ["update", str(file), "--generation", str(generation), "--io", "posix"]
    done = subprocess.run(
        [program, *words, "--sync", "none", "--report", "-"],
        check=True,
        capture_output=True,
        text=True,
    )
    operation = json.loads(done.stdout)["operations"][0]
    return operation["updated_blocks"], operation["seconds"]


def theirs(file: Path, blocks: int) -> float:
    """Return the seconds that fio takes for as many writes."""
    options = {
        "name": "update", "filename": str(file), "rw": "randwrite", "bs": str(BLOCK),
        "size": str(SIZE), "io_size": str(blocks * BLOCK), "ioengine": "psync", "iodepth": "1",
        "fallocate": "none", "randrepeat": "0", "overwrite": "1", "output-format": "json",
    }  # fmt: skip
    words = [f"--{key}={value}" for key, value in options.items()]
    done = subprocess.run(["fio", *words], check=True, capture_output=True, text=True)
    text = done.stdout
    # Milliseconds of a job are too coarse; its writes per second and their number are not.
    write = json.loads(text[text.index("{") :])["jobs"][0]["write"]
    return float(write["total_ios"] * write["clat_ns"]["mean"] / 1e9)


def main() -> None:
    """Print the medians and their ratio."""
    options = launching.parser(__doc__.splitlines()[0]).parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="dgen-mpi-update.") as folder:
        file, other = Path(folder, "data"), Path(folder, "other")
        spec = ["-s", str(SIZE), "--seed", "1", "--dedup-unit", str(BLOCK), "--change", "1%"]
        subprocess.run([options.program, "-o", str(file), *spec, "--quiet"], check=True)
        shutil.copyfile(file, other)
        has_fio = shutil.which("fio") is not None
        mine: list[float] = []
        fio: list[float] = []
        for turn in range(TURNS):
            blocks, seconds = ours(options.program, file, turn + 1)
            mine.append(seconds)
            if has_fio:
                fio.append(theirs(other, blocks))
    print(f"update of {blocks} blocks: {1e3 * statistics.median(mine):.1f} ms")
    if not has_fio:
        print("there is no fio: nothing to compare it with")
        return
    print(
        f"as many writes by fio, without what lies between: {1e3 * statistics.median(fio):.1f} ms"
    )
    ratios = statistics.median(a / b for a, b in zip(mine, fio, strict=True))
    print(f"ratio: {ratios:.2f}")


if __name__ == "__main__":
    main()
