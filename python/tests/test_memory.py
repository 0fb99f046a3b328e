# SPDX-License-Identifier: MIT OR Apache-2.0
"""Only memory that is known to be plain bytes is filled.

What must be refused is tried in a process of its own, which uses it afterwards: bytes in the place
of references would end that process.
"""

from __future__ import annotations

import array
import asyncio
import ctypes
import gc
import io
import mmap
import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dgen_mpi
from dgen_mpi import DataReader, DataSpec, Generator, UnsuitableBufferError, _native
from dgen_mpi._memory import _is_plain_type, is_plain, is_plain_format

SPEC = DataSpec(1 << 20, 3)


class Pair(ctypes.Structure):
    """An object beside a number."""

    _fields_ = [("number", ctypes.c_long), ("thing", ctypes.py_object)]


class Packed(ctypes.Structure):
    """Called bytes by its format."""

    _pack_ = 1
    _fields_ = [("small", ctypes.c_char), ("thing", ctypes.py_object)]


class Either(ctypes.Union):
    """Called bytes by its format, too."""

    _fields_ = [("thing", ctypes.py_object), ("bytes", ctypes.c_ubyte * 8)]


class Nested(ctypes.Structure):
    """Has it further down."""

    _fields_ = [("number", ctypes.c_int), ("inner", Either * 2)]


class Derived(Nested):
    """Has it in what it is derived from, and fields of its own."""

    _fields_ = [("more", ctypes.c_int)]


class Around(ctypes.Structure):
    """Has it in a field of such a type."""

    _fields_ = [("inner", Derived * 2)]


class Disguised(Either):
    """Says that it is something else."""

    _objects = _b_base_ = None

    def __reduce__(self) -> Any:
        """Be pickled as nothing."""
        return (int, ())


class Pointers(ctypes.Structure):
    """Addresses of memory and of functions."""

    _fields_ = [
        ("text", ctypes.c_char_p),
        ("number", ctypes.POINTER(ctypes.c_int)),
        ("call", ctypes.CFUNCTYPE(ctypes.c_int)),
    ]


class Plain(ctypes.Structure):
    """Numbers only."""

    _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_double * 3), ("c", ctypes.c_bool)]


class PlainPacked(ctypes.BigEndianStructure):
    """Numbers only, without space between them."""

    _pack_ = 1
    _fields_ = [("a", ctypes.c_char), ("b", ctypes.c_uint64)]


class PlainEither(ctypes.Union):
    """Numbers only, in one place."""

    _fields_ = [("a", ctypes.c_int), ("b", Plain)]


class Lender:
    """Gives out the memory of something else, from Python 3.12 on."""

    def __init__(self, lent: Any) -> None:
        self.lent = lent

    def __buffer__(self, flags: int) -> memoryview:
        """Return a view of it."""
        return memoryview(self.lent)


class Titled(np.ndarray):
    """An array that says that it is another."""

    dtype = np.dtype("u1")  # type: ignore[assignment]
    base = None


def strings() -> Any:
    """Return an array of texts of any length, the longer ones in memory of their own."""
    return np.array(["a" * 100, "b" * 200, "c"], dtype=np.dtypes.StringDType())


def objects() -> Any:
    """Return an array of objects."""
    return np.array([["a"], {"b": 2}, object()], dtype=object)


def structured(*fields: Any, count: int = 2) -> Any:
    """Return an array with objects in all fields that may have some."""
    made = np.zeros(count, dtype=list(fields))
    for name in made.dtype.names or ():
        if made.dtype[name].kind == "O":
            made[name] = [[name] for _ in range(count)]
    return made


def part_of_union() -> Any:
    """Return bytes that lie where an object is."""
    return Either(thing=["held"]).bytes


def cast(made: Any) -> Any:
    """Return the same memory as bytes, by the way of a view."""
    return memoryview(made).cast("B")


REFUSED: dict[str, Callable[[], Any]] = {
    "objects": objects,
    "objects, none": lambda: np.empty(0, dtype=object),
    "objects, one": lambda: np.array(["x"], dtype=object),
    "objects in two dimensions": lambda: np.full((3, 2), ["y"], dtype=object),
    "view of objects": lambda: memoryview(objects()),
    "texts of any length": strings,
    "slice of such texts": lambda: strings()[1:],
    "object": lambda: structured(("a", "i4"), ("b", object)),
    "object beside a date": lambda: structured(("a", object), ("when", "M8[s]")),
    "object behind a duration": lambda: structured(("took", "m8[ns]"), ("a", object)),
    "object with a colon": lambda: structured(("a:b", object)),
    "object behind a colon": lambda: structured(("a:b", "i8"), ("c", object)),
    "object named as a number": lambda: structured(("i", object), ("O", "i8")),
    "object in an inner field": lambda: structured(("a", [("b", [("c", "O"), ("d", "M8[D]")])])),
    "objects in a row": lambda: structured(("a", "M8[s]"), ("b", object, (2,))),
    "text of any length in a field": lambda: np.zeros(2, [("a", "i4"), ("b", object)]),
    "object with a title": lambda: structured((("title", "a"), object), ("b", "M8[s]")),
    "record": lambda: structured(("a", object), ("b", "M8[s]")).view(np.recarray),
    "fields around an object": lambda: structured(("a", object), ("b", "i8"), ("c", "i8"))[["b"]],
    "numbers over objects": lambda: np.ndarray(3, "u8", buffer=objects()),
    "slice of numbers over objects": lambda: np.ndarray(3, "u8", buffer=objects())[1:],
    "view of numbers over objects": lambda: memoryview(np.ndarray(3, "u8", buffer=objects())),
    "strides over objects": lambda: np.lib.stride_tricks.as_strided(
        np.ndarray(3, "u8", buffer=objects())[:2]
    ),
    "bytes over objects": lambda: cast(np.ndarray(3, "u8", buffer=objects())),
    "derived array": lambda: objects().view(Titled),
    "masked objects": lambda: np.ma.masked_array(objects()),
    "matrix of dates and objects": lambda: structured(("a", "M8[s]"), ("b", "O")).reshape(2, 1),
    "pickled buffer": lambda: pickle.PickleBuffer(objects()),
    "py_object": lambda: ctypes.py_object(["held"]),
    "py_objects": lambda: (ctypes.py_object * 3)(["a"], ["b"], ["c"]),
    "structure": lambda: Pair(1, ["held"]),
    "structures": lambda: (Pair * 2)(Pair(1, ["a"]), Pair(2, ["b"])),
    "packed structure": lambda: Packed(b"x", ["held"]),
    "union": lambda: Either(thing=["held"]),
    "unions": lambda: (Either * 2)(Either(thing=["a"]), Either(thing=["b"])),
    "nested": Nested,
    "derived": Derived,
    "derived ones": Derived * 2,
    "around derived": Around,
    "derived without fields": type("Empty", (Derived,), {}),
    "disguised": lambda: Disguised(thing=["held"]),
    "view of a packed structure": lambda: memoryview(Packed(b"x", ["held"])),
    "cast union": lambda: cast(Either(thing=["held"])),
    "part of a union": part_of_union,
    "view of a part": lambda: memoryview(part_of_union()),
    "array over a part": lambda: np.ctypeslib.as_array(part_of_union()),
    "array over a union": lambda: np.frombuffer(Either(thing=["held"]), "u8"),
    "numbers from objects": lambda: (ctypes.c_ulong * 3).from_buffer(objects()),
    "number from objects": lambda: ctypes.c_ulong.from_buffer(objects()),
    "structure from objects": lambda: PlainPacked.from_buffer(objects()),
    "array over numbers from objects": lambda: np.frombuffer(
        (ctypes.c_ulong * 3).from_buffer(objects()), "u1"
    ),
    "pointers": lambda: Pointers(b"text"),
    "text": lambda: ctypes.c_char_p(b"text"),
    "wide text": lambda: ctypes.c_wchar_p("text"),
    "pointer": lambda: ctypes.pointer(ctypes.c_int(1)),
    "address": lambda: ctypes.c_void_p(1),
    "function": lambda: ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 1),
    "cast to addresses": lambda: memoryview(bytearray(64)).cast("P"),
}
"""What is not plain bytes, and why one might think so."""

if sys.version_info >= (3, 12):
    REFUSED |= {
        "lent union": lambda: Lender(Either(thing=["held"])),
        "view of a lent union": lambda: memoryview(Lender(Either(thing=["held"]))),
        "lent twice": lambda: Lender(Lender(Either(thing=["held"]))),
    }

PLAIN: dict[str, Callable[[], Any]] = {
    **{
        f"{dtype}": (lambda dtype=dtype: np.zeros(7, dtype))
        for dtype in (
            *("?", "i1", "u2", ">i4", "<u8", "f2", "<f4", ">f8", "g", "F", ">c16", "G"),
            *("S", "S3", "U5", ">U2", "V6", "M8[s]", ">M8[ns]", "m8", "M8[25us]"),
        )
    },
    "structured": lambda: np.zeros(3, [("a", "i4"), ("b", "f8", (2, 3)), ("c", "S3")]),
    "aligned": lambda: np.zeros(3, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "dates": lambda: np.zeros(3, [("O", "M8[s]"), ("P:z", "i4"), ("d", [("e", "m8[D]")])]),
    "names of codes": lambda: np.zeros(3, [("O", "i4"), ("P", "f8"), ("Z", "S3")]),
    "view of such": lambda: memoryview(np.zeros(3, [("O", "i4"), ("P", "f8"), ("Z", "S3")])),
    "no fields": lambda: np.zeros(3, []),
    "fields apart": lambda: np.zeros(3, [("a", "i8"), ("b", "M8[s]"), ("c", "u1")])[["a", "c"]],
    "one number": lambda: np.zeros((), "f8"),
    "slice": lambda: np.zeros(100)[10:20],
    "record": lambda: np.zeros(3, [("a", "i4")]).view(np.recarray),
    "derived array": lambda: np.zeros(9, "u1").view(Titled),
    "mapped array": lambda: np.frombuffer(mmap.mmap(-1, 4096), "f4"),
    "masked": lambda: np.ma.masked_array(np.zeros(5)),
    "bytearray": lambda: bytearray(10),
    "derived bytearray": lambda: type("Derived", (bytearray,), {})(10),
    "view": lambda: memoryview(bytearray(10))[2:8],
    "cast view": lambda: memoryview(bytearray(24)).cast("d", [3, 1]),
    "texts": lambda: array.array("u", "abc"),
    "numbers": lambda: array.array("d", [1, 2]),
    "map": lambda: mmap.mmap(-1, 4096),
    "stream": lambda: io.BytesIO(bytes(10)).getbuffer(),
    "pickled": lambda: pickle.PickleBuffer(bytearray(9)),
    "our own": lambda: dgen_mpi.generate_buffer(100),
    "array over our own": lambda: np.frombuffer(dgen_mpi.generate_buffer(100), "f4"),
    "text of ctypes": lambda: ctypes.create_string_buffer(10),
    "wide text of ctypes": lambda: ctypes.create_unicode_buffer(10),
    "number of ctypes": lambda: ctypes.c_longdouble(1),
    "structure": Plain,
    "packed": PlainPacked,
    "union": lambda: (PlainEither * 2)(),
    "part of a structure": lambda: Plain().b,
    "strides": lambda: np.lib.stride_tricks.as_strided(np.zeros(10), (2, 5), (40, 8)),
    "memory of processes": lambda: multiprocessing.RawArray("d", 10),
    "array over that": lambda: np.frombuffer(multiprocessing.Array("i", 10).get_obj(), "i4"),
    "shared": lambda: (ctypes.c_int * 4).from_buffer(bytearray(16)),
}
"""What is plain bytes, whatever its type."""


def writers(buffer: Any) -> list[Callable[[], Any]]:
    """Return calls that write into a buffer, all there are."""
    generator = Generator(1 << 20, seed=1)
    source = _native.source(1 << 20, 1, 1000, 1000, 1 << 20, 0, "backref", {}, 1, "off", -1)
    return [
        lambda: SPEC.fill(buffer),
        lambda: generator.fill_chunk(buffer),
        lambda: asyncio.run(generator.fill_chunk_async(buffer)),
        lambda: dgen_mpi.generate_into_buffer(buffer),
        lambda: dgen_mpi.fill_buffer(buffer),
        lambda: DataReader(SPEC).readinto(buffer),
        lambda: dgen_mpi.normalize_rows(buffer, 1),
        lambda: _native.normalize_rows(buffer, 1, 1, "off", -1),
        lambda: _native.uniform(buffer, 1, 0, 1, 1, "off", -1),
        lambda: source.fill(buffer, 0, -1),
        lambda: source.fill_next(buffer),
        lambda: source.reserve(buffer),
    ]


def attack(name: str) -> Any:
    """Try to fill what is to be refused, use it, and return it."""
    buffer = REFUSED[name]()
    for number, write in enumerate(writers(buffer)):
        try:
            write()
        except UnsuitableBufferError:
            continue
        raise AssertionError(f"{name}: writer {number} wrote")
    # To read it does no harm.
    SPEC.compare(buffer)
    repr(buffer)
    return buffer


def test_what_may_hold_references_is_refused() -> None:
    """By every call that writes; what is there stays, and the interpreter goes on."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", __file__],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout.split("\n")[-2:]) == (0, ["done", ""]), (
        done.stdout[-200:] + done.stderr
    )


@pytest.mark.parametrize("name", PLAIN)
def test_plain_memory_is_filled(name: str) -> None:
    """Whatever its type: numbers, dates, texts of a fixed length, structures of them."""
    buffer = PLAIN[name]()
    length = _native.length(buffer)
    assert SPEC.fill(buffer) == length
    assert SPEC.compare(buffer) == []
    assert dgen_mpi.generate_into_buffer(buffer, seed=1) == length
    assert DataReader(SPEC).readinto(buffer) == length
    assert Generator(1 << 20).fill_chunk(buffer) == length


NAMES = ("O", "a:b", "P")
TYPES = st.recursive(
    st.sampled_from(["i4", ">f8", "c8", "?", "S3", "U2", "V5", "M8[s]", "m8[ns]", "O"]),
    lambda inner: st.lists(
        st.tuples(inner, st.sampled_from([(), (2,), (1, 3)])), min_size=1, max_size=3
    ).map(lambda fields: [(name, *field) for name, field in zip(NAMES, fields, strict=False)]),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(dtype=TYPES, is_aligned=st.booleans(), is_cut=st.booleans())
def test_types_of_any_fields(dtype: Any, is_aligned: bool, is_cut: bool) -> None:
    """What holds objects anywhere is refused, and nothing else is."""
    whole = np.zeros(3, np.dtype(dtype, align=is_aligned and isinstance(dtype, list)))
    names = whole.dtype.names
    # The fields that are left out are still between the others.
    made = whole[list(names[:1])] if is_cut and names else whole
    if whole.dtype.hasobject:
        with pytest.raises(UnsuitableBufferError, match="objects"):
            SPEC.fill(made)
    else:
        assert SPEC.fill(made) == made.nbytes


FORMATS = [
    *("B", "b", "c", "?", "<i", ">Q", "=f", "!d", "@n", "N", "e", "g", "w", "u", "7s", "3p"),
    *("Zd", "<Zf", "Zg", "10x", "(2,3)f", "(2, 3)<f", "3i", "i2xd", " i i ", "^h"),
    *("T{}", "T{i:a:}", "T{=i:a:(2,3)d:b:3s:c:}", "T{i:a:T{<f:x:>f:y:}:inner:3x}", "T{B:O x:}"),
    *("(2)T{i:a:}", "T{Zd:P1:w:Offset:}", "T{i:a: }"),
]
NO_FORMATS = [
    *("O", "<O", "3O", "(2)O", "P", "z", "Z", "<Z", "&i", "&<i", "X{}", "T{O:x:}", "T{i:a:O:b:}"),
    *("T{i:a:T{&i:b:}:c:}", "T{X{}:f:}", "T{B:a:b:O:c:d:}", "T{B:a:b:3&i:c:d:}", "T{i:a", "T{i:a:"),
    *("i}", "}", "", " ", "T", "{i}", "y", "é", "i:a:b:", "Zi", "T{<Z:d:}", "T{" * 5000, "3"),
    *("<", "t\0", "%", "O:i:", ":i:O", "T{B:a::b:}", "(2", "(a)i", "T{T{O:a:}:b:}"),
]


def test_a_hint_is_given_for_tensors() -> None:
    """Of torch: they are no buffers."""
    tensor = type("Tensor", (), {"__module__": "torch"})()
    for call in (SPEC.fill, SPEC.compare, Generator(10).fill_chunk):
        with pytest.raises(TypeError, match=r"not 'Tensor'; give the tensor's \.numpy\(\)"):
            call(tensor)


@pytest.mark.parametrize("text", FORMATS)
def test_plain_formats_are_known(text: str) -> None:
    """Numbers and bytes, in structures and rows."""
    assert is_plain_format(text)


@pytest.mark.parametrize("text", NO_FORMATS, ids=range(len(NO_FORMATS)))
def test_other_formats_are_not_taken_for_plain(text: str) -> None:
    """References, pointers, functions, and all that cannot be read."""
    assert not is_plain_format(text)


def test_formats_of_exporters_are_asked_for() -> None:
    """Those of any object with the buffer protocol, and those of the views that it gives."""
    tested = pytest.importorskip("_testbuffer")
    for text, is_filled in [("B", True), ("i", True), ("2s", True), ("P", False)]:
        exporter = tested.ndarray(
            [b"ab"] if text == "2s" else [1], shape=[1], format=text, flags=tested.ND_WRITABLE
        )
        assert is_plain(exporter) == is_filled
        assert is_plain(memoryview(exporter)) == is_filled


@pytest.mark.parametrize(
    ("number", "module", "is_known"),
    [(256, "ml_dtypes", True), (256, "quaternion", False), (2056, "numpy", False)],
)
def test_types_of_other_packages_are_refused_unless_known(
    number: int, module: str, is_known: bool
) -> None:
    """They are whatever they are; as bytes they are filled."""
    scalar = type("scalar", (), {"__module__": module})
    dtype = SimpleNamespace(hasobject=False, subdtype=None, names=None, num=number, type=scalar)
    assert _is_plain_type.__wrapped__(dtype) == is_known


if __name__ == "__main__":
    used = []
    for each in REFUSED:
        print(each, flush=True)
        used.append(attack(each))
    gc.collect()
    used.clear()
    print("done")
