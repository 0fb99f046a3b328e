# SPDX-License-Identifier: MIT OR Apache-2.0
"""Arguments that nobody meant: an exception that Python knows, and never a crash.

`DGEN_FUZZ_ROUNDS` says how many of each kind there are; `make sanitize` runs these with an
extension that watches every access to memory.
"""

from __future__ import annotations

import array
import math
import os
from typing import Any

import numpy as np
import pytest
from conftest import rounds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dgen_mpi
from dgen_mpi import DataSpec, _native

ROUNDS = int(os.environ.get("DGEN_FUZZ_ROUNDS", rounds(60, 300)))
IS_LONG = ROUNDS > 1000
"""Whether other arguments are tried each time."""

fuzzed = settings(
    max_examples=ROUNDS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=not IS_LONG,
)

ORDINARY = (TypeError, ValueError, BufferError, OverflowError, MemoryError, IndexError)
"""What a wrong argument may raise."""


class LyingIndex:
    """Says that it is a number, and is none."""

    def __index__(self) -> int:
        """Fail when asked."""
        raise ValueError("no number after all")


def released() -> memoryview:
    """Return a view whose memory was given back."""
    view = memoryview(bytearray(64))
    view.release()
    return view


NUMBERS = st.one_of(
    st.integers(-4, 5000),
    st.sampled_from([2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64, -(2**63), 10**40]),
)
BUFFERS = st.one_of(
    st.binary(max_size=70),
    st.integers(0, 5000).map(bytearray),
    st.integers(0, 300).map(lambda count: memoryview(bytearray(count))[::2]),
    st.integers(0, 300).map(lambda count: memoryview(bytes(count))),
    st.integers(0, 300).map(lambda count: array.array("d", [0.0] * count)),
    st.sampled_from(["u1", "<f4", ">f8", "c16", "S3", "O", "?"]).map(lambda t: np.empty(9, t)),
    st.just(np.zeros((4, 6), np.float32)[:, ::2]),
    st.just(np.zeros((0, 3))),
    st.just(np.float64(1)),
    st.builds(released),
)
GARBAGE = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["off", "auto", "force", "backref", "zeros", "1MiB", "\ud800", "a\0b"]),
    BUFFERS,
    st.lists(st.integers(), max_size=3),
    st.builds(object),
    st.builds(LyingIndex),
    st.just(int),
)


def attempt(call: Any, *words: Any, **options: Any) -> Any:
    """Call something with whatever it may be; return what it raised, or what it gave."""
    try:
        return call(*words, **options)
    except ORDINARY as error:
        wrong = error
    assert str(wrong) or isinstance(wrong, MemoryError), f"{call} says nothing of {words}"
    assert "\n" not in str(wrong), wrong
    return wrong


FIELDS = ("copies", "zeros", "compress_mix", "run", "change", "generation")
TEXTS = st.one_of(
    st.sampled_from(["2:5%", "1:1", "0.5", "7", "1:30%,2:0.7", "10%:15%", "4294967296"]),
    st.text("0123456789.:%,", max_size=9),
)
COMPOSITIONS = st.dictionaries(
    st.sampled_from(["x", "dedup_ratio", "compress_ratio", *FIELDS]),
    st.one_of(st.lists(TEXTS, max_size=3), st.lists(GARBAGE, max_size=2), GARBAGE),
    max_size=4,
)


def native_source() -> _native.Source:
    """Return a source as the package makes it."""
    return _native.source(100_000, 5, 1500, 2000, 4096, 1024, "backref", {}, 2, "off", -1)


FUNCTIONS = sorted(
    name
    for name in dir(_native)
    if not name.startswith("_") and not isinstance(getattr(_native, name), type)
)


@pytest.mark.parametrize("name", FUNCTIONS)
@fuzzed
@given(words=st.lists(GARBAGE, max_size=12))
def test_functions_of_the_extension(name: str, words: list[Any]) -> None:
    """Any number of arguments of any type."""
    attempt(getattr(_native, name), *words)


METHODS = sorted(name for name in dir(_native.Source) if not name.startswith("_"))


@pytest.mark.parametrize("name", METHODS)
@fuzzed
@given(words=st.lists(GARBAGE, max_size=6))
def test_methods_of_a_source(name: str, words: list[Any]) -> None:
    """Any number of arguments of any type; afterwards the source still makes its bytes."""
    source = native_source()
    attempt(getattr(source, name), *words)
    made = bytearray(64)
    assert source.fill(made, 0, 64) == 64
    right = bytearray(64)
    DataSpec(100_000, 5, dedup_ratio=1.5, compress_ratio=2, dedup_unit=4096).fill(right)
    assert made == right


@fuzzed
@given(
    numbers=st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    fill=st.sampled_from(["backref", "zeros", "", "x"]),
    composition=st.one_of(st.just({}), COMPOSITIONS, GARBAGE),
    buffer=BUFFERS,
    offset=NUMBERS,
    count=NUMBERS,
)
def test_sources_of_any_numbers(
    numbers: tuple[int, ...], fill: str, composition: Any, buffer: Any, offset: int, count: int
) -> None:
    """The right types, and any values: what is accepted fills what it is given."""
    source = attempt(_native.source, *numbers, fill, composition, 1, "off", -1)
    if isinstance(source, _native.Source):
        attempt(source.fill, buffer, offset, count)
        attempt(source.compare, buffer, offset, count, b"", 1 << 16)
        attempt(source.seek, offset, count)
        attempt(source.fill_next, buffer)


@fuzzed
@given(
    size=GARBAGE,
    seed=GARBAGE,
    options=st.dictionaries(
        st.sampled_from(
            ["dedup_ratio", "compress_ratio", "dedup_unit", "compress_unit", "fill", "x", *FIELDS]
        ),
        st.one_of(GARBAGE, TEXTS, st.lists(st.one_of(GARBAGE, TEXTS), max_size=3)),
        max_size=3,
    ),
)
def test_specifications(size: Any, seed: Any, options: dict[str, Any]) -> None:
    """A specification is refused, or can be used."""
    spec = attempt(DataSpec, size, seed, **options)
    if isinstance(spec, DataSpec) and spec.size > 0:
        assert spec.fill(bytearray(1), spec.size - 1) == 1


@fuzzed
@given(
    words=st.lists(GARBAGE, max_size=3),
    options=st.dictionaries(
        st.sampled_from(["seed", "low", "high", "dim", "max_threads", "numa_mode"]),
        GARBAGE,
        max_size=2,
    ),
)
def test_functions_of_the_package(words: list[Any], options: dict[str, Any]) -> None:
    """What programs call."""
    for name in (
        "generate_buffer",
        "generate_into_buffer",
        "fill_buffer",
        "generate_uniform",
        "Generator",
        "BufferPool",
        "create_bytearrays",
        "normalize_rows",
    ):
        attempt(getattr(dgen_mpi, name), *words, **options)


@pytest.mark.parametrize("kind", ["O", [("a", "O"), ("b", "i4")]])
def test_references_are_not_overwritten(kind: Any) -> None:
    """An array of Python objects is refused: whoever follows its references would crash."""
    spec = DataSpec(1000, 1)
    with pytest.raises(dgen_mpi.UnsuitableBufferError, match="objects"):
        spec.fill(np.empty(9, kind))
    # What only has that letter in a name is memory like any other.
    assert spec.fill(np.zeros(9, [("O", "f4"), ("Offset", "i4")])) == 72


@fuzzed
@given(start=NUMBERS, stop=NUMBERS)
def test_parts_of_a_view(start: int, stop: int) -> None:
    """A part lies in the whole, or there is none."""
    view = _native.allocate(1000)
    part = attempt(view.slice, start, stop)
    if isinstance(part, _native.BytesView):
        assert len(part) <= 1000
        assert len(bytes(part)) == len(part)


@fuzzed
@given(low=st.floats(), high=st.floats(), seed=NUMBERS, buffer=BUFFERS)
def test_uniform_numbers(low: float, high: float, seed: int, buffer: Any) -> None:
    """Any borders and any memory."""
    error = attempt(_native.uniform, buffer, seed, low, high, 1, "off", -1)
    if isinstance(buffer, array.array) and error is None and len(buffer):
        assert all(math.isfinite(value) for value in buffer)
