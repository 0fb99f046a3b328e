# SPDX-License-Identifier: MIT OR Apache-2.0
"""Arrays of float32 numbers."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import stream

import dgen_mpi


def floats(view: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return numbers without copying them."""
    return np.frombuffer(view, dtype=np.float32)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 3000),
    st.integers(0, 5),
    st.floats(-1e6, 1e6, width=32),
    st.floats(0.0009765625, 1e6, width=32),
)
def test_numbers_are_those_of_the_format(count: int, seed: int, low: float, span: float) -> None:
    """Element by element, each operation rounded to float32 on its own."""
    start, stop = np.float32(low), np.float32(low + span)
    if not start < stop:
        return
    words = np.frombuffer(stream(seed, 1500), dtype="<u4")[:count]
    unit = (words >> 8).astype(np.float32) * np.float32(2.0**-24)
    expected = start + (stop - start) * unit
    found = floats(dgen_mpi.generate_uniform(count, float(start), float(stop), seed=seed))
    assert found.tobytes() == expected.astype(np.float32).tobytes()


def test_numbers_lie_in_their_range() -> None:
    """From low, and below high, evenly."""
    found = floats(dgen_mpi.generate_uniform(1_000_000, seed=1))
    assert found.min() >= 0
    assert found.max() < 1
    assert abs(found.mean() - 0.5) < 0.002
    other = floats(dgen_mpi.generate_uniform(1_000_000, -3, 5))
    assert other.min() >= -3
    assert other.max() <= 5
    assert floats(dgen_mpi.generate_uniform(100)).tobytes() != other[:100].tobytes()


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_numbers_do_not_depend_on_threads(threads: int) -> None:
    """Nor do rows."""
    view = dgen_mpi.generate_uniform_vectors(3001, 257, max_threads=threads, seed=3)
    expected = dgen_mpi.generate_uniform_vectors(3001, 257, max_threads=1, seed=3)
    assert bytes(view) == bytes(expected)


@pytest.mark.parametrize("dim", [1, 2, 15, 16, 17, 100, 1536])
def test_rows_have_length_one(dim: int) -> None:
    """In one call, in two, and by numpy."""
    rows = floats(dgen_mpi.generate_uniform_vectors(50, dim, -1, 1, seed=2)).reshape(50, dim)
    raw = dgen_mpi.generate_uniform_vectors(50, dim, -1, 1, normalize=False, seed=2)
    plain = floats(raw).reshape(50, dim).astype(np.float64)
    expected = plain / np.linalg.norm(plain, axis=1, keepdims=True)
    np.testing.assert_allclose(rows, expected, rtol=0, atol=2e-6)
    buffer = bytearray(bytes(raw))
    dgen_mpi.normalize_rows(buffer, dim)
    assert buffer == rows.tobytes()


def test_rows_of_all_magnitudes() -> None:
    """Zeros stay; large and small rows do not vanish; what is no number does not spread."""
    rows = np.array(
        [[0, 0, 0], [3e30, 4e30, 0], [3e-30, 4e-30, 0], [3, 0, 4], [1e-44, 0, 0]], dtype=np.float32
    )
    dgen_mpi.normalize_rows(rows, 3)
    np.testing.assert_allclose(
        rows[:4], [[0, 0, 0], [0.6, 0.8, 0], [0.6, 0.8, 0], [0.6, 0, 0.8]], atol=1e-6
    )
    assert np.isfinite(rows).all()
    odd = np.array([[np.nan, 1, 1], [np.inf, 1, 1]], dtype=np.float32)
    before = odd.tobytes()
    dgen_mpi.normalize_rows(odd, 3)
    assert odd.tobytes() == before


@pytest.mark.parametrize("make", [bytearray, lambda data: array.array("f", bytes(data))])
def test_rows_in_any_memory(make: Any) -> None:
    """Bytes that are numbers, or numbers."""
    data = np.array([3, 4, 0, 0], dtype=np.float32).tobytes()
    buffer = make(data)
    dgen_mpi.normalize_rows(buffer, 2)
    np.testing.assert_allclose(floats(buffer), [0.6, 0.8, 0, 0], atol=1e-6)
    unaligned = memoryview(bytearray(b"x" + data))[1:]
    dgen_mpi.normalize_rows(unaligned, 2)
    assert bytes(unaligned) == bytes(buffer)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dgen_mpi.generate_uniform(-1), "count: '-1' is not accepted"),
        (lambda: dgen_mpi.generate_uniform(1, 1, 1), "low"),
        (lambda: dgen_mpi.generate_uniform(1, 2, 1), "low"),
        (lambda: dgen_mpi.generate_uniform(1, float("nan"), 1), "low"),
        (lambda: dgen_mpi.generate_uniform(1, 0, float("inf")), "low, high"),
        (lambda: dgen_mpi.generate_uniform(1, -3e38, 3e38), "low, high"),
        (lambda: dgen_mpi.generate_uniform(1, 1, 1 + 1e-12), "low, high"),
        (lambda: dgen_mpi.generate_uniform(1, seed=-1), "seed"),
        (lambda: dgen_mpi.generate_uniform(1, numa_mode="x"), "numa_mode"),
        (lambda: dgen_mpi.generate_uniform_vectors(1, 0), "dim"),
        (lambda: dgen_mpi.generate_uniform_vectors(-1, 1), "rows"),
        (lambda: dgen_mpi.normalize_rows(bytearray(8), 0), "dim"),
        (lambda: dgen_mpi.normalize_rows(bytearray(81), 2), "81 bytes are no whole number of rows"),
        (lambda: dgen_mpi.normalize_rows(np.zeros(4), 2), "format 'd'"),
        (lambda: dgen_mpi.normalize_rows(np.zeros(4, dtype=">f4"), 2), "format '>f'"),
        (lambda: dgen_mpi.normalize_rows(bytes(8), 2), "must be writable"),
        (lambda: dgen_mpi.normalize_rows(np.zeros((4, 4), dtype="f4")[:, ::2], 2), "in one piece"),
    ],
)
def test_wrong_values_are_named(call: Any, message: str) -> None:
    """Each is a ValueError that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        call()


def test_too_many_numbers_raise() -> None:
    """The process goes on."""
    for count in (1 << 60, 1 << 62, 1 << 70):
        with pytest.raises((MemoryError, OverflowError)):
            dgen_mpi.generate_uniform(count)
    with pytest.raises((MemoryError, OverflowError)):
        dgen_mpi.generate_uniform_vectors(1 << 40, 1 << 40)
    assert bytes(dgen_mpi.generate_uniform(0)) == b""
    assert bytes(dgen_mpi.generate_uniform_vectors(0, 5)) == b""
