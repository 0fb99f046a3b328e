# SPDX-License-Identifier: MIT OR Apache-2.0
"""Filling and comparing on a machine that runs the kernels, whichever it is."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dgen_mpi.damage import DamagedRanges
from dgen_mpi.gpu import _plan

if TYPE_CHECKING:
    from dgen_mpi.spec import DataSpec

PLANS_MAX = 128
"""Data sets whose plan a machine keeps: 32 KiB, and as much for each of their jumps."""

PART_BYTES_MAX = 64 << 20
"""So much is copied at once of what is damaged."""

GAP_BYTES = 128 << 10
"""Less than that between what is damaged is copied with it: a copy more would take longer."""

LANES = 32
FOUND_BYTES = 16
"""Before the flags there is one for all."""

Stream = Any
"""What a machine does one after another."""


class GPUError(RuntimeError):
    """No GPU can be used, or using it failed; the message says why."""

    status = ""
    """What the driver calls it, if it was the driver."""


class Machine(Protocol):
    """What runs the kernels, and has the memory that they work on."""

    cache: Cache
    own_stream: Stream
    """One that nothing else is in."""

    def launch(self, kernel: str, call: _plan.Call, count: int, stream: Stream) -> None:
        """Run a kernel with so many threads, or warps where it works in warps."""

    def is_recording(self, stream: Stream) -> bool:
        """Tell whether what is put into a stream is kept, to be done again and again."""

    def reserve(self, count: int) -> int:
        """Return the address of new memory."""

    def release(self, address: int) -> None:
        """Give memory back as soon as nothing works on it."""

    def borrow(self, count: int, stream: Stream) -> int:
        """Return the address of new memory for what is done next."""

    def give_back(self, address: int, stream: Stream) -> None:
        """Give that back, after what was done with it."""

    def write(self, address: int, data: bytes, stream: Stream) -> None:
        """Copy bytes to an address, and wait for that."""

    def clear(self, address: int, count: int, stream: Stream) -> None:
        """Make bytes zeros."""

    def read(self, address: int, count: int, stream: Stream) -> bytearray:
        """Return the bytes at an address, after what was done before."""


class Known(NamedTuple):
    """A data set that a machine has a plan of."""

    shape: _plan.Shape
    address: int


class Cache:
    """The tables and plans that a machine has."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        # Held from the look for a plan to the launch: a plan is given back only after that.
        self.lock = RLock()
        self._powers = 0
        self._plans: OrderedDict[tuple[str, int], Known] = OrderedDict()
        # Those that recorded work uses: nobody tells when that is gone.
        self._kept: dict[tuple[str, int], Known] = {}

    def powers(self) -> int:
        """Return the address of the tables of jumps by 1, 2, 4, ... words."""
        if not self._powers:
            wanted = _plan.powers()[: _plan.BASE_SHIFTS[-1]]
            with _reserved(self.machine, len(wanted) * _plan.TABLE_BYTES) as memory:
                self._tabulate(memory, wanted)
            self._powers = memory
        return self._powers

    def plan(self, spec: DataSpec, piece_bytes: int, *, is_recorded: bool) -> Known:
        """Return what the machine knows of a data set; what recorded work uses stays for good."""
        key = (repr(spec), piece_bytes)
        known = self._kept.get(key)
        if known is None:
            known = self._plans.pop(key, None) or self._new_plan(spec, piece_bytes)
            (self._kept if is_recorded else self._plans)[key] = known
        if len(self._plans) > PLANS_MAX:
            _, old = self._plans.popitem(last=False)
            self.machine.release(old.address)
        return known

    def _new_plan(self, spec: DataSpec, piece_bytes: int) -> Known:
        shape = _plan.shape_of(spec, piece_bytes)
        steps = shape.steps
        size = ctypes.sizeof(_plan.Plan)
        # Tables begin at whole lines of the caches.
        first = -(-size // 256) * 256
        with _reserved(self.machine, first + len(steps) * _plan.TABLE_BYTES) as address:
            for index, step in enumerate(steps):
                table = address + first + index * _plan.TABLE_BYTES
                if step.ratio is None:
                    shape.plan.block_step = table
                else:
                    shape.plan.ratios[step.ratio].step = table
            if steps:
                wanted = tuple(_plan.polynomial(step.words) for step in steps)
                self._tabulate(address + first, wanted)
            self.machine.write(address, bytes(shape.plan), self.machine.own_stream)
        return Known(shape, address)

    def _tabulate(self, memory: int, polynomials: tuple[int, ...]) -> None:
        """Make the tables of jumps, and wait for them: all streams use them."""
        machine, stream = self.machine, self.machine.own_stream
        words = _plan.words_of(polynomials)
        with _reserved(machine, len(words)) as source:
            machine.write(source, words, stream)
            call = _plan.Call(tables=memory, polynomials=source)
            for kernel, count in (("table_bits", 256), ("table_sums", 256)):
                call.threads = count * len(polynomials)
                machine.launch(kernel, call, call.threads, stream)
            machine.read(source, 1, stream)
        machine.release(source)


@contextmanager
def _reserved(machine: Machine, count: int) -> Iterator[int]:
    """Reserve memory, and give it back where what is done with it fails."""
    address = machine.reserve(count)
    try:
        yield address
    except BaseException:
        # A device that does nothing any more does not do this either: what failed first is told.
        with suppress(GPUError):
            machine.release(address)
        raise


def fill(
    machine: Machine,
    spec: DataSpec,
    address: int,
    offset: int,
    length: int,
    stream: Stream,
    piece_bytes: int | None = None,
) -> None:
    """Fill memory with a range of a data set."""
    if length > 0:
        call = _plan.Call()
        _run("fill", machine, spec, address, offset, length, stream, piece_bytes, call)


def compare(
    machine: Machine,
    spec: DataSpec,
    address: int,
    offset: int,
    length: int,
    stream: Stream,
    limit: int,
    known: bytes,
    search_bytes: int,
    piece_bytes: int | None = None,
) -> DamagedRanges:
    """Compare memory with a range of a data set; what differs is looked at on the host."""
    if length == 0:
        return DamagedRanges([], 0, 0, 0)
    shift = _plan.flag_shift(spec)
    first = offset >> shift
    count = ((offset + length - 1) >> shift) - first + 1
    found = machine.borrow(FOUND_BYTES + count, stream)
    try:
        machine.clear(found, FOUND_BYTES + count, stream)
        call = _plan.Call(found=found, flags=found + FOUND_BYTES, shift=shift)
        _run("compare", machine, spec, address, offset, length, stream, piece_bytes, call)
        if not machine.read(found, 1, stream)[0]:
            return DamagedRanges([], 0, 0, 0)
        flags = machine.read(found + FOUND_BYTES, count, stream)
    finally:
        machine.give_back(found, stream)
    parts = bytearray()
    gap = bytes(max(1, GAP_BYTES >> shift))
    begin = flags.find(1)
    while begin >= 0:
        end = flags.find(gap, begin)
        end = end if end >= 0 else count
        start = max(offset, (first + begin) << shift)
        stop = min(offset + length, (first + end) << shift)
        while start < stop:
            part = min(PART_BYTES_MAX, stop - start)
            parts += start.to_bytes(8, "little") + part.to_bytes(8, "little")
            start += part
        begin = flags.find(1, end)

    def read(start: int, count: int) -> bytearray:
        return machine.read(address + start - offset, count, stream)

    damage = DamagedRanges.of(
        spec._source.compare_parts(read, offset, length, bytes(parts), limit, known, search_bytes)
    )
    if damage.range_count == 0:
        start, part = (int.from_bytes(parts[at : at + 8], "little") for at in (0, 8))
        raise GPUError(
            f"gpu: the device found wrong bytes among the {part} at offset {start}, and a copy of "
            "them is right: the memory was still being written, or the device did not yet see what "
            "was written"
        )
    return damage


def _run(
    verb: str,
    machine: Machine,
    spec: DataSpec,
    address: int,
    offset: int,
    length: int,
    stream: Stream,
    piece_bytes: int | None,
    call: _plan.Call,
) -> None:
    with machine.cache.lock:
        if piece_bytes is None:
            piece_bytes = _plan.piece_bytes_for(spec, length)
        is_recorded = machine.is_recording(stream)
        shape, plan = machine.cache.plan(spec, piece_bytes, is_recorded=is_recorded)
        finder = _plan.describe(call, spec, shape, offset, length)
        call.plan, call.data = plan, address
        places = 0
        if finder is not None:
            call.powers = machine.cache.powers()
            places = machine.borrow(call.pieces * (32 + 1), stream)
            call.states, call.ratios = places, places + 32 * call.pieces
        try:
            if finder is not None:
                machine.launch(finder, call, call.threads, stream)
            place = "shifted" if (address - offset) % 16 else "aligned"
            kind = "grains" if shape.has_grains else "plain"
            warps = -(-call.pieces // LANES)
            machine.launch(f"{verb}_{kind}_{place}", call, warps, stream)
        finally:
            if places:
                machine.give_back(places, stream)
