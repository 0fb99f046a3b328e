# SPDX-License-Identifier: MIT OR Apache-2.0
"""The options of a job, as the extension's table has them: read, written, told to editors."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from dgen_mpi import _native
from dgen_mpi._arguments import refusal
from dgen_mpi.jobs import profiles
from dgen_mpi.jobs.files import JobError
from dgen_mpi.jobs.texts import LISTS, ROWS, TABLE, Row, plain, texts_of

__all__ = ["LISTS", "ROWS", "TABLE", "Row", "plain", "texts_of"]


def shape_of(key: str) -> str:
    """Return the shape of an option's values; that of one value for what is no option."""
    return str(ROWS[key]["shape"]) if key in ROWS else "one"


def read(given: Mapping[str, Any], operation: str = "") -> dict[str, Any]:
    """Return the values of options that were given as job files or as Python have them.

    Raises `ValueError` in one line, in the words of the program, for the first that is not
    accepted.
    """
    values = profiles.check(operation, texts_of(given))
    for name in values:
        if ROWS[name]["kind"] == "ratio":
            values[name] = Decimal(values[name]).normalize()
    return values


def value(name: str, given: object, where: str) -> Any:
    """Return what one option reads; raises `JobError` that says where it was given."""
    try:
        return read({name: given})[name]
    except ValueError as error:
        raise JobError(f"{where}: {str(error).removeprefix(f'{name}: ')}") from error


def summary(row: Row) -> str:
    """Return what an option is, in one sentence."""
    return plain(row["help"]).split(". ")[0].removesuffix(".") + "."


def size_in(text: str, field: str) -> int:
    """Return a size that is no option of a job; raises ValueError for less than 1 byte, too."""
    number = _native.parse_size(text, field)
    if number < 1:
        raise refusal(field, text, "1 byte at least")
    return number


def exact_size(number: int) -> str | int:
    """Return a size as it stands in job files: in the largest unit that divides it."""
    for power, letter in zip(range(60, 0, -10), "EPTGMK", strict=True):
        if number and number % (1 << power) == 0:
            return f"{number >> power}{letter}iB"
    return number


def shown_ratio(number: Decimal) -> int | float:
    """Return a ratio as it stands in job files."""
    return int(number) if number == number.to_integral_value() else float(number)


def shown_duration(seconds: int) -> str:
    """Return a duration as it stands in job files."""
    for unit, divisor in (("h", 3600), ("m", 60)):
        if seconds % divisor == 0:
            return f"{seconds // divisor}{unit}"
    return f"{seconds}s"


_PLAIN: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_PAIR: dict[str, Any] = {"type": "string", "pattern": "^[^=]+=.+$"}


def _text_like(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern}


_SCHEMAS: dict[str, list[dict[str, Any]]] = {
    "size": [
        {"type": "integer", "minimum": 0},
        _text_like(r"^[0-9]+(\.[0-9]+)?[kmgtpeKMGTPE]?([iI]?[bB])?$"),
    ],
    "integer": [{"type": "integer"}, _text_like("^[+-]?[0-9]+$")],
    "seed": [{"type": "integer", "minimum": 0}, _text_like("^[0-9]+$")],
    "ratio": [{"type": "number", "minimum": 0}, _text_like(r"^[0-9]+(\.[0-9]{1,3})?$")],
    "part": [{"type": "number", "minimum": 0, "maximum": 1}, _text_like("^[0-9.]+%?$")],
    "share": [
        {"type": "number", "minimum": 0, "maximum": 1},
        _text_like(r"^([0-9]+(\.[0-9]{1,6})?|[0-9]+(\.[0-9]{1,4})?%)$"),
    ],
    "class": [{"type": "number", "minimum": 0}, {"type": "string", "minLength": 1}],
    "duration": [
        {"type": "integer", "minimum": 1},
        _text_like("^([0-9]+[smh]?|[0-9]+(:[0-5][0-9]){1,2})$"),
    ],
    "flag": [{"type": "boolean"}, {"enum": [0, 1]}, {"type": "string"}],
    "word": [_text_like("^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"), {"type": ["number", "boolean"]}],
    "launcher": [{"enum": ["mpirun", "srun", "flux"]}, _text_like(r"\{ranks\}")],
    "text": [{**_PLAIN, "minLength": 1}],
    "hint": [{"type": "object"}, {"type": "array", "items": _PAIR}, _PAIR],
    "mapping": [{"type": "object", "additionalProperties": _PLAIN}],
}
"""What editors are told of each kind of value: what it may be."""


def schema(row: Row) -> dict[str, Any]:
    """Return the JSON Schema of an option."""
    kind, shape = row["kind"], row["shape"]
    if kind == "choice":
        off = [False] if "off" in row["choices"] else []
        kinds: list[dict[str, Any]] = [{"enum": [*row["choices"], *off]}]
    else:
        kinds = [dict(each) for each in _SCHEMAS[kind]]
    if kind == "integer":
        # Larger bounds are no numbers that every reader of JSON has.
        most = {"maximum": row["most"]} if row["most"] < 1 << 53 else {}
        kinds[0] |= {"minimum": row["least"], **most}
    if shape == "joined" and kind != "class":
        kinds = [{"type": "string", "minLength": 1}]
    if shape in ("joined", "several"):
        least = {"minItems": 1} if shape == "joined" else {}
        kinds = [{"type": "array", "items": {"anyOf": kinds}, **least}, *kinds]
    if shape == "list":
        kinds = [{"type": "array", "items": _PLAIN}]
    told = {"description": plain(row["help"])}
    return {**told, **kinds[0]} if len(kinds) == 1 else {**told, "anyOf": kinds}
