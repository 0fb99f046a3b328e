# SPDX-License-Identifier: MIT OR Apache-2.0
"""`dgen new`: job files with every field, those that are not given as comments."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from rich.prompt import Prompt

from dgen_mpi._files import replace
from dgen_mpi._text import counted
from dgen_mpi.cli.output import print_json, say
from dgen_mpi.jobs import Campaign, JobError, files, is_axis, options, shell
from dgen_mpi.jobs.campaign import NOT_SWEPT

_QUESTIONS = (
    ("output", "The file to write", "data"),
    ("size", "Its size", "1GiB"),
    ("ranks", "MPI ranks", "4"),
    ("dedup_ratio", "Dedup ratio", "1"),
    ("compress_ratio", "Compress ratio", "1"),
)

_INSTEAD = {"dedup_ratio": "copies", "compress_ratio": "compress_mix"}
"""Fields that are not asked for where another one is given."""

_STEPS = "[{operation: generate, ranks: 4}, {operation: verify, ranks: 3}]"


def new(arguments: argparse.Namespace) -> None:
    """Write a commented job file, from options or by asking."""
    name = shell.word(str(arguments.file))
    given: dict[str, Any] = {}
    for setting in arguments.settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise JobError(f"'{setting}' is not accepted; give FIELD=VALUE")
        # Other fields have braces where names of cases are put in.
        takes_braces = options.shape_of(key) in ("pairs", "mapping")
        is_structure = text[:1] + text[-1:] in (["[]", "{}"] if takes_braces else ["[]"])
        given |= files.parse(f"{key}: {text}", setting) if is_structure else {key: text}
    if os.path.lexists(arguments.file) and not arguments.force:
        raise JobError(f"{arguments.file}: exists; give --force to replace it")
    is_sweep = "runs" in given or any(is_axis(key, value) for key, value in given.items())
    for key, question, default in _QUESTIONS:
        if key in given or _INSTEAD.get(key) in given:
            continue
        # Cases that may run at the same time write files of their own.
        default = "{name}.dat" if key == "output" and is_sweep else default
        if sys.stdin.isatty() and not arguments.json:
            given[key] = Prompt.ask(question, default=default)
        elif key in ("output", "size"):
            given[key] = default
    text = _commented(given)
    campaign = Campaign.from_yaml(text, str(arguments.file), arguments.file.stem)
    replace(arguments.file, text, is_new=not arguments.force)
    if arguments.json:
        print_json({"file": str(arguments.file), "cases": [case.name for case in campaign.cases]})
    else:
        say(f"{arguments.file}: {counted(len(campaign.cases), 'case')}")
        say(f"next: dgen check {name}")


def _commented(given: dict[str, Any]) -> str:
    """Return a job file with all that is given, and the rest as comments."""
    lines = [
        "# A job of dgen-mpi. A field may have a list of values: a case for every combination.",
        "#   dgen check FILE    dgen run FILE    dgen report FOLDER",
        "# Sizes as 4096, 64KiB, 1.5GiB. Lines that begin with # are not used.",
    ]
    rest = dict(given)
    topics: dict[str, list[tuple[str, str, str]]] = {}
    for key, row in options.ROWS.items():
        if key not in NOT_SWEPT:
            line = (key, row["example"], options.summary(row))
            topics.setdefault(options.plain(row["about"]), []).append(line)
        if key == "operation":
            topics[row["about"]].append(("steps", _STEPS, "Jobs run one after another."))
    for about, fields in topics.items():
        lines += ["", f"# {about}"]
        for key, example, told in fields:
            if key in rest:
                lines += [f"# {told}", files.dump({key: _plain(rest.pop(key))}).rstrip()]
            else:
                lines.append(f"# {key}: {example}  # {told}")
    if rest:
        lines += ["", files.dump(_plain(rest)).rstrip()]
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> Any:
    """Return texts that are numbers or flags as such, so that they are written without quotes."""
    if isinstance(value, dict):
        return {key: _plain(element) for key, element in value.items()}
    if isinstance(value, list):
        return [_plain(element) for element in value]
    if not isinstance(value, str):
        return value
    if value in ("true", "false"):
        return value == "true"
    for kind in (int, float):
        try:
            if str(kind(value)) == value:
                return kind(value)
        except ValueError:
            continue
    return value
