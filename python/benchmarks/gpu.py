# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measure how fast a GPU's memory is filled and compared, beside cudaMemset, cuRAND and copies.

All are measured in turn, over and over, so that a change of the machine's speed meets all of them;
the medians of rates, and of the ratios to cudaMemset within each round, are shown. Times are those
of a stream, from the end of what is before to that of the call; a comparison's has the answer on
the host in it.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
from collections.abc import Callable
from typing import Any

from dgen_mpi import DataSpec, gpu
from dgen_mpi.gpu import _device

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
STREAM = 1

Call = Callable[[], object]


class Array:
    """Device memory with one of the protocols."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.address = _device.device(0).reserve(length + 16)
        self.at(0)

    def at(self, shift: int) -> None:
        """Begin some bytes further on."""
        self.__cuda_array_interface__ = {
            **{"shape": (self.length,), "typestr": "|u1", "version": 3},
            **{"data": (self.address + shift, False), "strides": None, "stream": None},
        }


def specs() -> dict[str, DataSpec]:
    """Return the data sets that are measured."""
    size = 1 << 40
    copies: dict[str, Any] = {"copies": {2: 0.3}}
    found = {}
    for name, block in (("512 B", 512), ("4 KiB", 4 * KIB), ("64 KiB", 64 * KIB), ("1 MiB", MIB)):
        found[f"dgen/2, {name}"] = DataSpec(size, 1, dedup_unit=block, **copies)
    many: dict[str, Any] = {"zeros": 0.05, "change": "10%:15%,90%:0.5%", "generation": 7}
    found["dgen/2, 4 KiB, zeros, changes"] = DataSpec(size, 1, dedup_unit=4096, **copies, **many)
    found["dgen/2, 4 KiB, c = 2"] = DataSpec(size, 1, None, 2, 4096, **copies)
    mix: dict[str, Any] = {"compress_mix": "1:30%,1.5:20%,2:20%,4:30%"}
    for name, block in (("4 KiB", 4 * KIB), ("64 KiB", 64 * KIB)):
        found[f"dgen/2, {name}, mix"] = DataSpec(size, 1, dedup_unit=block, **copies, **mix)
    found["dgen/1"] = DataSpec(size, 1)
    found["dgen/1, 4 KiB, d = 2"] = DataSpec(size, 1, 2, dedup_unit=4096)
    found["dgen/1, c = 1.5"] = DataSpec(size, 1, 1, 1.5)
    found["dgen/1, c = 2"] = DataSpec(size, 1, 1, 2)
    found["dgen/1, c = 2, zeros"] = DataSpec(size, 1, 1, 2, fill="zeros")
    found["dgen/1, c = 10"] = DataSpec(size, 1, 1, 10)
    found["dgen/1, c = 2, 4 KiB, d = 2"] = DataSpec(size, 1, 2, 2, dedup_unit=4096)
    return found


def optional(name: str) -> Any:  # noqa: ANN401 - a module whose types are not known here
    """Import a module, or return None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def peers(array: Array) -> dict[str, Call]:
    """Return what is measured beside."""
    ask, address, length = _device.ask, array.address, array.length
    pinned = ask("cuMemHostAlloc", length, 0)
    found: dict[str, Call] = {
        "cudaMemset": lambda: ask("cuMemsetD8Async", address, 7, length, STREAM),
        "host to device, pinned": lambda: ask(
            "cuMemcpyHtoDAsync", address, int(pinned), length, STREAM
        ),
        "device to host, pinned": lambda: ask(
            "cuMemcpyDtoHAsync", int(pinned), address, length, STREAM
        ),
    }
    if cupy := optional("cupy"):
        curand = cupy.cuda.curand
        for name, kind in (("XORWOW", 101), ("Philox", 161), ("MTGP32", 141)):
            generator = curand.createGenerator(kind)
            found[f"cuRAND by CuPy, {name}"] = lambda generator=generator: curand.generate(  # type: ignore[misc]
                generator, address, length // 4
            )
    if torch := optional("torch"):
        memory = torch.as_tensor(array, device="cuda").view(torch.int64)
        found["random_() of torch"] = memory.random_
    return found


def milliseconds(call: Call, before: Array, events: tuple[Any, Any]) -> float:
    """Return how long a call takes in a stream that has work before it, as one has in use."""
    ask = _device.ask
    ask("cuMemsetD8Async", before.address, 1, before.length, STREAM)
    ask("cuEventRecord", events[0], STREAM)
    call()
    ask("cuEventRecord", events[1], STREAM)
    ask("cuEventSynchronize", events[1])
    return float(ask("cuEventElapsedTime", *events))


def main() -> None:
    """Measure all in turn and print rates and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=8192, help="MiB of device memory")
    parser.add_argument("--repeat", type=int, default=7, help="rounds over all cases")
    parser.add_argument("--pieces", type=int, nargs="*", help="bytes of pieces to try as well")
    options = parser.parse_args()
    device = _device.device(0)
    _device.ask("cuCtxPushCurrent", device._context)
    array = Array(options.size * MIB)
    before = Array(512 * MIB)
    calls = peers(array)
    offset = 100 * GIB

    def add(name: str, spec: DataSpec, shift: int, piece: int | None) -> None:
        def fill() -> None:
            array.at(shift)
            if piece is None:
                gpu.fill(spec, array, offset, stream=STREAM)
            else:
                place = (array.address + shift, offset, array.length, STREAM)
                gpu._work.fill(device, spec, *place, piece)

        def compare() -> None:
            place = (array.address + shift, offset, array.length, STREAM)
            if gpu._work.compare(device, spec, *place, 1, b"", 0, piece):
                raise SystemExit(f"{name}: what was filled is not right")

        calls[f"fill: {name}"] = fill
        calls[f"compare: {name}"] = compare

    for name, spec in specs().items():
        add(name, spec, 0, None)
        for piece in options.pieces or ():
            block, grain = spec.dedup_unit, spec.compress_unit
            if piece <= block and block % piece == 0 and piece % grain == 0:
                add(f"{name}, pieces of {piece}", spec, 0, piece)
    for name in ("dgen/2, 4 KiB", "dgen/1", "dgen/1, c = 2"):
        add(f"{name}, address + 1", specs()[name], 1, None)
    events = tuple(_device.ask("cuEventCreate", 0) for _ in range(2))
    rates: dict[str, list[float]] = {name: [] for name in calls}
    # The first round compiles, and is not counted.
    for number in range(options.repeat + 1):
        for name, call in calls.items():
            taken = milliseconds(call, before, events)
            if number > 0:
                rates[name].append(array.length / taken / 1e6)
    print(f"{device.name}, {options.size} MiB; GB/s, median of {options.repeat}, and x cudaMemset")

    def show(name: str) -> str:
        beside = zip(rates[name], rates["cudaMemset"], strict=True)
        ratio = statistics.median(own / other for own, other in beside)
        return f"{statistics.median(rates[name]):10.0f}{ratio:8.2f}"

    width = max(map(len, rates))
    for name in rates:
        if not name.startswith(("fill: ", "compare: ")):
            print(f"{name:<{width}}{show(name)}")
    print(f"{'':<{width}}{'fill':>10}{'x':>8}{'compare':>10}{'x':>8}")
    for name in rates:
        if name.startswith("fill: "):
            what = name.removeprefix("fill: ")
            print(f"{what:<{width}}{show(name)}{show('compare: ' + what)}")


if __name__ == "__main__":
    main()
