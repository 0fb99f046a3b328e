# SPDX-License-Identifier: MIT OR Apache-2.0
"""Which memory may be filled: that in which every byte may have any value.

The extension asks before it writes into a buffer. Bytes in the place of a reference crash the
interpreter when somebody follows it, so what cannot be shown to be plain is refused. What the
buffer protocol says of the elements is not enough: ctypes calls unions and packed structures bytes
whatever they hold, numpy says nothing of arrays that hold dates or texts of any length, and a view
of numbers may lie over memory of another kind.
"""

from __future__ import annotations

import functools
import gc
import re
import sys
from typing import Any

from dgen_mpi import _native

# numpy's numbers of its own types are 0 to 23, the same in all versions: booleans, numbers, bytes,
# texts of a fixed length, void, dates, and objects.
_OBJECT = 17
_OWN_TYPES = 24

# Types that are made at run time, as by `class`, have this flag.
_HEAP = 1 << 9

_BYTES = (bytearray, _native.BytesView)
"""Objects whose memory is their own, and bytes."""

_PLAIN_EXTENSIONS = ("ml_dtypes",)
"""Packages whose types for numpy arrays are numbers of some bits."""

_ELEMENT = re.compile(
    r"""
    \s* (?P<closed> \} )
    | (?: \s | [@=<>!^] | \( [\d,\s]+ \) | \d )*  # order of bytes, shape, count
    (?: (?P<opened> T\{ ) | [xcbB?hHiIlLqQnNefdgspuwt] | Z[fdg] )
    """,
    re.VERBOSE,
)
_NAME = re.compile(r":[^:]*:")
# A name that reads like a reference: names may hold colons, so that it may be none.
_REFERENCE = re.compile(r":[@=<>!^\d\s(),]*([OPzZ]|&.*|X\{\}):")


def is_plain(buffer: Any) -> bool:  # noqa: ANN401 - whatever has the buffer protocol
    """Tell whether every byte of a buffer may have any value.

    Looks through views, slices and casts, at the objects whose memory it is. In doubt, no.
    """
    # Most are arrays of numbers and parts of them, and small ones are filled in less time than
    # the rest takes.
    array: Any = _array_type()
    outermost = buffer
    while type(outermost) is array and outermost.dtype.num < _OBJECT:
        outermost = outermost.base
    if outermost is None or type(outermost) in _BYTES:
        return True
    waiting = [buffer]
    seen: list[object] = []
    try:
        while waiting:
            owner = waiting.pop()
            if type(owner) in _BYTES or any(owner is other for other in seen):
                continue
            seen.append(owner)
            owners = _look(owner, is_outermost=owner is buffer)
            if owners is None:
                return False
            waiting += owners
    except (AttributeError, BufferError, RecursionError, TypeError, ValueError):
        return False
    return True


def _look(owner: object, *, is_outermost: bool) -> list[object] | None:
    """Return the objects whose memory an owner of plain memory shares; None if it is not plain."""
    array: Any = _array_type()
    if _is_of(owner, array):
        # Not what a class that was derived from it says instead.
        dtype, base = array.dtype.__get__(owner), array.base.__get__(owner)
        if dtype.hasobject or not _is_plain_type(dtype):
            return None
        return [base]
    if _is_of(owner, _c_data_type()):
        return _look_at_c_data(owner)
    try:
        view = memoryview(owner)  # type: ignore[arg-type]  # it may be none
    except TypeError:
        if is_outermost:
            return None
        # Something else that an array keeps; numpy has such things for arrays of other strides.
        is_numpys = type(owner).__module__.startswith("numpy.")
        return [getattr(owner, "base", None)] if is_numpys else []
    with view:
        # Types of arrays say more than formats do, and have names that formats are no place for.
        if not _is_of(view.obj, array) and not is_plain_format(view.format):
            return None
        # From Python 3.12 on, a class may give out the memory of something else.
        kind = type(view.obj)
        is_wrapper = kind.__name__ == "_buffer_wrapper" and not kind.__flags__ & _HEAP
        return gc.get_referents(view.obj) if is_wrapper else [view.obj]


def _array_type() -> object:
    """Return numpy's type of arrays; where numpy is not loaded there are none."""
    return getattr(sys.modules.get("numpy"), "ndarray", None)


def _c_data_type() -> object:
    """Return what all types of ctypes are derived from, where that is loaded."""
    structure = getattr(sys.modules.get("_ctypes"), "Structure", None)
    return getattr(structure, "__base__", None)


def _is_of(owner: object, kind: object) -> bool:
    return isinstance(kind, type) and issubclass(type(owner), kind)


def _look_at_c_data(owner: object) -> list[object] | None:
    data: Any = _c_data_type()
    if not _is_plain_c_type(type(owner)):
        return None
    # What it is a part of, and what else has its memory.
    kept = data._objects.__get__(owner)
    sources = kept.values() if isinstance(kept, dict) else [kept]
    owners: list[object] = [source for source in sources if type(source) is memoryview]
    return [*owners, data._b_base_.__get__(owner)]


def _is_plain_c_type(kind: Any) -> bool:  # noqa: ANN401 - ctypes has no common type of its types
    """Tell whether any bytes are a value of a type of ctypes."""
    data: Any = _c_data_type()
    try:
        # ctypes knows which types hold pointers, and does not pickle those.
        data.__reduce__((kind * 0)())
    except ValueError:
        return False
    # It forgets about those that are inherited.
    inner = [vars(base).get("_type_") for base in kind.__mro__]
    inner += [field[1] for base in kind.__mro__ for field in vars(base).get("_fields_", ())]
    return all(_is_plain_c_type(part) for part in inner if isinstance(part, type))


@functools.lru_cache(maxsize=256)
def _is_plain_type(dtype: Any) -> bool:  # noqa: ANN401 - numpy is not needed
    """Tell whether any bytes are an element of a numpy array."""
    if dtype.hasobject:
        return False
    if dtype.subdtype is not None:
        return _is_plain_type(dtype.subdtype[0])
    if dtype.names is not None:
        return all(_is_plain_type(dtype.fields[name][0]) for name in dtype.names)
    if dtype.num < _OWN_TYPES:
        return bool(dtype.num != _OBJECT)
    return dtype.type.__module__ in _PLAIN_EXTENSIONS


@functools.lru_cache(maxsize=256)
def is_plain_format(text: str) -> bool:
    """Tell whether a format of the buffer protocol (PEP 3118) has plain numbers and bytes only.

    References (``O``), pointers (``P``, ``z``, ``Z``, ``&``), functions (``X{}``) and whatever is
    not known are none.
    """
    place, depth, end = 0, 0, len(text.rstrip())
    while place < end:
        found = _ELEMENT.match(text, place)
        if found is None or (found["closed"] and depth == 0):
            return False
        place = found.end()
        depth += bool(found["opened"]) - bool(found["closed"])
        if not found["opened"] and (name := _NAME.match(text, place)):
            if _REFERENCE.fullmatch(name[0]):
                return False
            place = name.end()
    return depth == 0 and end > 0
