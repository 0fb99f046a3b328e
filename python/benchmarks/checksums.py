# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measure how fast checksums are computed: of a buffer in the cache, and of bytes as they are made.

All are measured in turn, over and over, so that a change of the machine's speed meets all of them.
All keep to one processor, and times are those that they ran on it, so that other programs have
little to do with them; the medians of rates, and of the ratios within each round, are shown.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import statistics
import time
import zlib
from collections.abc import Callable
from typing import Any

from dgen_mpi import DataSpec, checksum, get_build_info

KIB, MIB = 1 << 10, 1 << 20

Call = Callable[[], object]
Cases = dict[str, tuple[int, dict[str, Call]]]


def optional(name: str) -> Any:  # noqa: ANN401 - a module whose types are not known here
    """Import a module, or return None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def rate(call: Call, size: int, milliseconds: int) -> float:
    """Return GB/s of a call, of as many as go into some milliseconds of processor time."""
    calls = 1
    while True:
        start = time.thread_time()
        for _ in range(calls):
            call()
        elapsed = time.thread_time() - start
        if elapsed * 1000 >= milliseconds:
            return size * calls / elapsed / 1e9
        calls *= 2


def of_buffers() -> Cases:
    """Return the checksums of a buffer: for each size, by all libraries that are here."""
    crt, google = optional("awscrt.checksums"), optional("google_crc32c")
    found: Cases = {}
    for name, size in (("4 KiB", 4 * KIB), ("256 KiB", 256 * KIB)):
        data = bytes(checksum.compute(bytes(8)).digest) * (size // 8)
        for algorithm in ("crc64nvme", "crc32c", "crc32"):
            calls: dict[str, Call] = {
                "dgen-mpi": functools.partial(checksum.compute, data, algorithm)
            }
            if crt:
                calls["awscrt"] = functools.partial(getattr(crt, algorithm), data)
            if google and algorithm == "crc32c":
                calls["google-crc32c"] = functools.partial(google.value, data)
            if algorithm == "crc32":
                calls["zlib"] = functools.partial(zlib.crc32, data)
            found[f"{algorithm} of {name}"] = (size, calls)
    return found


def of_generation(size: int) -> Cases:
    """Return generation with a checksum, and without."""
    found: Cases = {}
    kinds: dict[str, dict[str, Any]] = {
        "incompressible": {},
        "compress 2": {"compress_ratio": 2},
        "scattered blocks of 4 KiB": {"dedup_unit": 4 * KIB, "zeros": "1%"},
    }
    for name, kind in kinds.items():
        spec = DataSpec(1 << 40, seed=1, max_threads=1, **kind)
        buffer = bytearray(min(256 * KIB, size))

        def fill(spec: DataSpec = spec, buffer: bytearray = buffer) -> None:
            for offset in range(0, size, len(buffer)):
                spec.fill(buffer, offset)

        calls: dict[str, Call] = {
            "generate": fill,
            "with crc64nvme": functools.partial(spec.checksum, length=size),
        }
        found[f"{name}, in the cache"] = (size, calls)
    return found


def show(cases: Cases, repeat: int, milliseconds: int) -> None:
    """Measure cases in turn, and print medians and ratios to the first of each."""
    rates: dict[tuple[str, str], list[float]] = {}
    for _ in range(repeat):
        for case, (size, calls) in cases.items():
            for name, call in calls.items():
                rates.setdefault((case, name), []).append(rate(call, size, milliseconds))
    for case, (_, calls) in cases.items():
        first = rates[case, next(iter(calls))]
        for name in calls:
            mine = rates[case, name]
            ratio = statistics.median(one / other for one, other in zip(mine, first, strict=True))
            print(f"{case:40}{name:18}{statistics.median(mine):8.2f} GB/s{ratio:8.2f}")


def main() -> None:
    """Run all cases in turn and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=9, help="rounds over all cases")
    parser.add_argument("--milliseconds", type=int, default=20, help="for a case in each round")
    parser.add_argument("--quick", action="store_true", help="little data, to see that it runs")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"kernel {get_build_info()['kernel']}, one processor")
    show(of_buffers(), options.repeat, options.milliseconds)
    show(of_generation(MIB if options.quick else 256 * MIB), options.repeat, options.milliseconds)


if __name__ == "__main__":
    main()
