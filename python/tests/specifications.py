# SPDX-License-Identifier: MIT OR Apache-2.0
"""Reference values of the formats, and their specifications as the package takes them."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

from conftest import ROOT

MILLION = 1_000_000


def _values(name: str) -> Any:
    text = (ROOT / "Tests" / "Vectors" / name).read_text(encoding="utf-8")
    return json.loads(text, parse_float=Decimal)


VECTORS_1 = _values("format-v1.json")
VECTORS_2 = _values("format-v2.json")


def fields_of(spec: dict[str, Any]) -> dict[str, Any]:
    """Return what `DataSpec` takes of the fields of a reference value, exactly."""

    def pairs(values: list[list[int]], unit: int) -> list[tuple[Fraction, Fraction]]:
        return [(Fraction(it, unit), Fraction(share, MILLION)) for it, share in values]

    names = {"block": "dedup_unit", "grain": "compress_unit", "fill": "fill", "run": "run"}
    fields = {names[name]: value for name, value in spec.items() if name in names}
    fields |= {"size": int(spec["size"]), "seed": int(spec["seed"])}
    if "dedup" in spec:
        fields["dedup_ratio"] = Fraction(spec["dedup"], 1000)
    if "generation" in spec:
        fields["generation"] = spec["generation"]
    if "zeros" in spec:
        fields["zeros"] = Fraction(spec["zeros"], MILLION)
    lists = (("copies", "copies", 1), ("compress", "compress_mix", 1000))
    for name, field, unit in (*lists, ("change", "change", MILLION)):
        if name in spec:
            fields[field] = pairs(spec[name], unit)
    return fields
