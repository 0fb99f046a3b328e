# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measure how fast Python's buffers are filled, beside dgen-py and numpy.

All are measured in turn, over and over, so that a change of the machine's speed meets all of them;
the medians of times, and of the ratios within each round, are shown.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import dgen_mpi

KIB, MIB = 1 << 10, 1 << 20
LIBRARIES = ("dgen-mpi", "dgen-py", "numpy")

Call = Callable[[], object]


def optional(name: str) -> Any:  # noqa: ANN401 - a module whose types are not known here
    """Import a module, or return None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def seconds(call: Call, milliseconds: int) -> float:
    """Return the time of one call, of as many as go into some milliseconds."""
    calls = 1
    while True:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        elapsed = time.perf_counter() - start
        if elapsed * 1000 >= milliseconds:
            return elapsed / calls
        calls *= 2


def fill_chunk(library: Any, size: int, threads: int) -> Call:  # noqa: ANN401
    """Return a call that fills a buffer with the next bytes of a long stream."""
    generator = library.Generator(size=1 << 40, max_threads=threads)
    buffer = bytearray(size)
    return lambda: generator.fill_chunk(buffer)


def cases(is_quick: bool) -> dict[str, dict[str, Call]]:
    """Return what is measured: for every case, a call of each library that has it."""
    numpy = optional("numpy")
    found: dict[str, dict[str, Call]] = {}

    def add(case: str, make: Callable[[Any], Call], other: Call | None = None) -> None:
        calls = {"dgen-mpi": make(dgen_mpi)}
        if dgen_py := optional("dgen_py"):
            calls["dgen-py"] = make(dgen_py)
        if numpy and other:
            calls["numpy"] = other
        found[case] = calls

    words = numpy.random.Generator(numpy.random.SFC64(1)) if numpy else None
    for name, size in (("64 B", 64), ("4 KiB", 4 * KIB), ("64 KiB", 64 * KIB), ("1 MiB", MIB)):
        add(
            f"fill_chunk, {name}, 1 thread",
            functools.partial(fill_chunk, size=size, threads=1),
            functools.partial(words.bytes, size) if words else None,
        )
    small = bytearray(64)
    add("generate_buffer, 64 B", lambda library: functools.partial(library.generate_buffer, 64))
    add(
        "generate_buffer, 64 B, ratios",
        lambda library: functools.partial(
            library.generate_buffer, 64, dedup_ratio=1.0, compress_ratio=2.0
        ),
    )
    add(
        "generate_buffer, 4 KiB",
        lambda library: functools.partial(library.generate_buffer, 4 * KIB),
    )
    # dgen-py takes no seed here.
    found["generate_buffer, 4 KiB, seed"] = {
        "dgen-mpi": functools.partial(dgen_mpi.generate_buffer, 4 * KIB, seed=1)
    }
    add("next_slice, 64 B", lambda library: functools.partial(library.BufferPool().next_slice, 64))
    add(
        "generate_into_buffer, 64 B",
        lambda library: functools.partial(library.generate_into_buffer, small),
    )
    part = memoryview(bytearray(128))[:64]
    add(
        "generate_into_buffer, view of 64 B",
        lambda library: functools.partial(library.generate_into_buffer, part),
    )
    if numpy:
        array = numpy.zeros(64, "u1")
        add(
            "generate_into_buffer, array of 64 B",
            lambda library: functools.partial(library.generate_into_buffer, array),
        )
        row = numpy.zeros((2, 64), "u1")[1]
        add(
            "generate_into_buffer, part of an array",
            lambda library: functools.partial(library.generate_into_buffer, row),
        )
    add("Generator(size=1 MiB)", lambda library: functools.partial(library.Generator, MIB))
    add("set_seed", lambda library: functools.partial(library.Generator(MIB).set_seed, 5))
    processors = int(dgen_mpi.get_build_info()["processors"])
    for size in () if is_quick else (2 * MIB, 4 * MIB, 16 * MIB):
        for wanted in sorted({1, processors}):
            add(
                f"fill_chunk, {size // MIB} MiB, {wanted} threads",
                functools.partial(fill_chunk, size=size, threads=wanted),
            )
    large = MIB if is_quick else 64 * MIB
    target = bytearray(large)
    for threads, note in ((None, ""), (1, ", 1 thread")):
        add(
            f"generate_into_buffer, 64 MiB{note}",
            lambda library, threads=threads: functools.partial(  # type: ignore[misc]
                library.generate_into_buffer, target, max_threads=threads
            ),
        )
    add(
        "generate_buffer, 64 MiB",
        lambda library: functools.partial(library.generate_buffer, large),
    )
    count = 1000 if is_quick else 4_000_000
    add(
        "generate_uniform, 4 M numbers",
        lambda library: functools.partial(library.generate_uniform, count, seed=1),
        functools.partial(numpy.random.default_rng(1).random, count, "f4") if numpy else None,
    )
    rows = 10 if is_quick else 10_000
    add(
        "generate_uniform_vectors, 10000 x 512",
        lambda library: functools.partial(library.generate_uniform_vectors, rows, 512, seed=1),
    )
    buffers = 2 if is_quick else 768
    add(
        "create_bytearrays, 768 x 32 MiB",
        lambda library: functools.partial(library.create_bytearrays, buffers, 32 * MIB),
    )
    # Not dgen-py's: it needs memory for each of its blocks.
    found["Generator(size=2**60)"] = {
        "dgen-mpi": functools.partial(dgen_mpi.Generator, 1 << 60, 2, 2)
    }
    return found


def main() -> None:
    """Run all cases in turn and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=9, help="rounds over all cases")
    parser.add_argument("--milliseconds", type=int, default=20, help="for a case in each round")
    parser.add_argument("--quick", action="store_true", help="small buffers, to see that it runs")
    options = parser.parse_args()
    every = cases(options.quick)
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.repeat):
        for case, calls in every.items():
            for library, call in calls.items():
                taken = seconds(call, options.milliseconds)
                times.setdefault((case, library), []).append(taken)
    build = dgen_mpi.get_build_info()
    print(f"kernel {build['kernel']}, {build['processors']} processors; microseconds, median")
    width = max(map(len, every))
    titles = [f"{name:>12}" for name in LIBRARIES]
    print(f"{'':<{width}}" + "".join(titles) + f"{'x dgen-py':>12}{'x numpy':>12}")
    lost = []
    for case in every:
        cells = []
        for library in LIBRARIES:
            found = times.get((case, library))
            cells.append(f"{statistics.median(found) * 1e6:12.2f}" if found else f"{'-':>12}")
        ours = times[case, "dgen-mpi"]
        for library in LIBRARIES[1:]:
            theirs = times.get((case, library))
            pairs = zip(theirs, ours, strict=True) if theirs else ()
            ratios = [other / own for other, own in pairs]
            ratio = statistics.median(ratios) if ratios else None
            cells.append(f"{'-':>12}" if ratio is None else f"{ratio:12.2f}")
            if ratio is not None and ratio < 1:
                lost.append(f"{case} ({ratio:.2f} of {library})")
        print(f"{case:<{width}}" + "".join(cells))
    print(f"slower than a peer: {', '.join(lost) or 'none'}")
    show_threads(times)


def show_threads(times: dict[tuple[str, str], list[float]]) -> None:
    """Print how many times as fast streams of several threads are as those of one."""
    cases = {case for case, _ in times if case.startswith("fill_chunk") and "threads" in case}
    for case in sorted(cases):
        alone = f"{case.rpartition(',')[0]}, 1 threads"
        for library in LIBRARIES:
            if case != alone and (case, library) in times:
                pairs = zip(times[alone, library], times[case, library], strict=True)
                ratio = statistics.median(one / many for one, many in pairs)
                print(f"{library}, {case}: {ratio:.2f} of one thread's speed")


if __name__ == "__main__":
    main()
