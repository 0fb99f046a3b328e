# SPDX-License-Identifier: MIT OR Apache-2.0
"""A field for each option of a job; `fields.pyi` spells them out for type checkers and editors."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import ConfigDict, Field, PlainSerializer, create_model

from dgen_mpi.jobs import options

_TYPES: dict[str, Any] = {
    "size": Annotated[int, PlainSerializer(options.exact_size)],
    "ratio": Annotated[Decimal, PlainSerializer(options.shown_ratio)],
    "duration": Annotated[int, PlainSerializer(options.shown_duration)],
    **{"integer": int, "seed": int, "flag": bool},
}


def fields_of(rows: dict[str, options.Row]) -> Any:
    """Return a model with a field for each row."""
    fields: dict[str, Any] = {}
    for name, row in rows.items():
        kind = _TYPES.get(row["kind"], str)
        kind = kind if row["shape"] == "one" else list[kind]
        kind = dict[str, str] if row["shape"] in ("pairs", "mapping") else kind
        fields[name] = (kind | None, Field(None, description=options.summary(row)))
    operation = Field("generate", description=options.summary(rows["operation"]))
    config = ConfigDict(extra="forbid", frozen=True, validate_default=False)
    return create_model(
        "OptionFields", __config__=config, **{**fields, "operation": (str, operation)}
    )


OptionFields = fields_of(options.ROWS)
