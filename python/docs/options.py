# SPDX-License-Identifier: MIT OR Apache-2.0
"""Writes what is made of the table of options: reference page, fields for editors, schemas.

    python python/docs/options.py

Tests compare the files with what the functions here return.
"""

from __future__ import annotations

import json
import keyword
import sys
from pathlib import Path
from typing import Any

from dgen_mpi.jobs import campaign_schema, job_schema
from dgen_mpi.jobs.options import TABLE, summary

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "Sources/DGen/DGen.docc/Options.md"
FIELDS = ROOT / "python/dgen_mpi/jobs/fields.pyi"


def page(table: list[dict[str, Any]], text: str) -> str:
    """Return the reference page: what is between its marks comes from the table."""
    sections, topic = [], ""
    for row in filter(lambda row: row["commands"], table):
        if row["topic"] != topic:
            topic = row["topic"]
            sections.append(f"\n## {topic}\n\n{row['about']}\n")
        sections.append(_section(row))
    launch = ["\n| field | meaning | accepted | default |\n| --- | --- | --- | --- |\n"]
    for row in table:
        if not row["commands"]:
            cells = (f"`{row['name']}`", row["help"], row["accepted"], row["default"] or "none")
            launch.append(f"| {' | '.join(cells)} |\n")
    for name, parts in (("options", sections), ("launch", launch)):
        before, rest = text.split(f"<!-- {name} -->\n")
        after = rest.split(f"<!-- /{name} -->\n")[1]
        made = "".join(parts)
        text = f"{before}<!-- {name} -->\n{made}\n<!-- /{name} -->\n{after}"
    return text


def _section(row: dict[str, Any]) -> str:
    option = "--" + row["name"].replace("_", "-")
    short = f"`-{row['short']}`, " if row["short"] else ""
    unset = f", `--no-{option[2:]}`" if row["kind"] == "flag" else ""
    is_argument = row["name"] == "output"
    argument = "; `verify` and `repair`: an argument without a name" if is_argument else ""
    example = f"{row['name']}: {row['example']}"
    if row["shape"] == "one":
        flags = {"true": option, "false": f"--no-{option[2:]}"}
        example = flags.get(row["example"], f"{option} {row['example']}")
    facts = {
        "command line": f"{short}`{option}`{unset}{argument}",
        "job file": f"`{row['name']}`",
        "environment": f"`DGEN_{row['name'].upper()}`",
        "type": row["kind"] if row["shape"] == "one" else f"list of {row['kind']}",
        "accepted": ", ".join(f"`{name}`" for name in row["choices"])
        if row["choices"] and row["kind"] == "choice" and row["name"] != "kernels"
        else row["accepted"],
        "default": row["default"] or "none",
        "commands": ", ".join(row["commands"]),
        "example": f"`{example}`",
    }
    lines = [f"| {name} | {fact} |" for name, fact in facts.items()]
    return "\n".join(
        ["", f"### {row['name']}", "", row["help"], "", "| | |", "| --- | --- |", *lines, ""]
    )


_TYPES = {
    **dict.fromkeys(("size", "integer", "seed", "duration"), "int"),
    **{"ratio": "Decimal", "flag": "bool"},
}


def fields(table: list[dict[str, Any]]) -> str:
    """Return the fields of a job as type checkers and editors read them."""
    lines = [
        "# SPDX-License-Identifier: MIT OR Apache-2.0",
        "# Made by python/docs/options.py from the table of options.",
        "",
        "from decimal import Decimal",
        "from typing import Any",
        "",
        "from pydantic import BaseModel",
        "",
        "class OptionFields(BaseModel):",
    ]
    for row in table:
        # Nobody can write those that are words of the language.
        if row["topic"] == "Bench" or keyword.iskeyword(row["name"]):
            continue
        kind = _TYPES.get(row["kind"], "str")
        kind = kind if row["shape"] == "one" else f"list[{kind}]"
        kind = "dict[str, str]" if row["shape"] in ("pairs", "mapping") else kind
        default = "str = ..." if row["name"] == "operation" else f"{kind} | None = ..."
        lines += [f"    {row['name']}: {default}", f'    """{summary(row)}"""']
    return "\n".join([*lines, "", "def fields_of(rows: dict[str, dict[str, Any]]) -> Any: ...", ""])


def written(table: list[dict[str, Any]] = TABLE) -> dict[Path, str]:
    """Return the text of every file that is made from the table."""
    schemas = {"job": job_schema(), "campaign": campaign_schema()}
    texts = {PAGE: page(table, PAGE.read_text(encoding="utf-8")), FIELDS: fields(table)}
    for kind, schema in schemas.items():
        texts[ROOT / f"jobs/{kind}.schema.json"] = json.dumps(schema, indent=2) + "\n"
    return texts


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")
        print(path, file=sys.stderr)
