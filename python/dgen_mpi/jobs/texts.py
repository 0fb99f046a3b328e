# SPDX-License-Identifier: MIT OR Apache-2.0
"""The table of options, and values of options as the texts that the program reads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from dgen_mpi import _native
from dgen_mpi._arguments import refusal

Row = dict[str, Any]

TABLE: list[Row] = _native.options()
"""All options, those of `bench` too."""

ROWS: dict[str, Row] = {row["name"]: row for row in TABLE if row["topic"] != "Bench"}
"""The options that job files may have, by name."""

LISTS = ("joined", "several", "pairs", "list")
"""The shapes whose values are lists: several values of them are a list of lists (or mappings)."""


def texts_of(given: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return options as the texts that the program reads."""
    return {name: _texts(ROWS[name], value) for name, value in given.items()}


def _texts(row: Row, value: object) -> list[str]:
    """Return a value as the texts that the program reads."""
    shape = row["shape"]
    if isinstance(value, Mapping) and shape == "pairs":
        return [f"{_text(row, key)}={_text(row, element)}" for key, element in value.items()]
    if isinstance(value, Mapping) and shape == "mapping":
        return [_text(row, part) for entry in value.items() for part in entry]
    if isinstance(value, list | tuple) and shape in LISTS:
        return [_text(row, element) for element in value]
    if shape in ("list", "mapping"):
        raise _refusal(row, value)
    return [_text(row, value)]


def _text(row: Row, value: object) -> str:
    if isinstance(value, bool):
        # YAML's word for false, where a name is one of those to choose from.
        return "off" if not value and "off" in row["choices"] else str(value).lower()
    if isinstance(value, Fraction):
        value = Decimal(value.numerator) / Decimal(value.denominator)
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        return format(value, "f")
    if not isinstance(value, str | int | os.PathLike):
        raise _refusal(row, value)
    return str(value)


def _refusal(row: Row, value: object) -> ValueError:
    told = "a mapping" if isinstance(value, Mapping) else value
    told = "a list" if isinstance(value, list | tuple) else told
    return refusal(row["name"], "nothing" if value is None else told, plain(row["accepted"]))


def plain(text: str) -> str:
    """Return words of the table without their marks."""
    return text.replace("`", "")
