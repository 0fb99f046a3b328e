# SPDX-License-Identifier: MIT OR Apache-2.0
"""`dgen new`: job files with every field, those that are not given as comments."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from rich.prompt import Prompt

from dgen_mpi._files import replace
from dgen_mpi.cli.output import DONE, print_json, say
from dgen_mpi.jobs import Campaign, Job, JobError, files, is_axis, shell

_QUESTIONS = (
    ("output", "The file to write", "data"),
    ("size", "Its size", "1GiB"),
    ("ranks", "MPI ranks", "4"),
    ("dedup_ratio", "Dedup ratio", "1"),
    ("compress_ratio", "Compress ratio", "1"),
)


def new(options: argparse.Namespace) -> int:
    """Write a commented job file, from options or by asking."""
    name = shell.word(str(options.file))
    given: dict[str, Any] = {}
    for setting in options.settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise JobError(f"'{setting}' is not accepted; give FIELD=VALUE")
        # Other fields have braces where names of cases are put in.
        is_mapping = key in ("hint", "environment") and (text[:1], text[-1:]) == ("{", "}")
        is_structure = is_mapping or (text[:1], text[-1:]) == ("[", "]")
        given |= files.parse(f"{key}: {text}", setting) if is_structure else {key: text}
    if os.path.lexists(options.file) and not options.force:
        raise JobError(f"{options.file}: exists; give --force to replace it")
    is_sweep = "runs" in given or any(is_axis(key, value) for key, value in given.items())
    for key, question, default in _QUESTIONS:
        if key in given:
            continue
        # Cases that may run at the same time write files of their own.
        default = "{name}.dat" if key == "output" and is_sweep else default
        if sys.stdin.isatty() and not options.json:
            given[key] = Prompt.ask(question, default=default)
        elif key in ("output", "size"):
            given[key] = default
    text = _commented(given)
    campaign = Campaign.from_yaml(text, str(options.file), options.file.stem)
    replace(options.file, text, is_new=not options.force)
    if options.json:
        print_json({"file": str(options.file), "cases": [case.name for case in campaign.cases]})
    else:
        count = len(campaign.cases)
        say(f"{options.file}: {count} {'case' if count == 1 else 'cases'}")
        say(f"next: dgen check {name}")
    return DONE


_GROUPS = (
    ("What is done", ("name", "operation", "steps")),
    (
        "The data: size and contents",
        ("size", "seed", "dedup_ratio", "compress_ratio", "dedup_unit", "compress_unit", "fill"),
    ),
    (
        "The file, and how it is written",
        (
            "output",
            "overwrite",
            "transfer_size",
            "align",
            "collective",
            "resume",
            "hint",
            "hints_file",
            "space_check",
            "preallocate",
            "io",
            "direct",
            "layout",
            "segments",
            "strided",
            "order",
            "sync",
            "stripe_count",
            "stripe_size",
            "queue_depth",
        ),
    ),
    (
        "What a test does with it, with operation: test",
        (
            *("phases", "repeat", "warm_up", "fresh_file", "keep"),
            *("read_order", "shuffle_seed", "drop_cache"),
        ),
    ),
    ("What is verified", ("sample", "blocks", "sample_seed", "also_known")),
    (
        "How it is launched",
        (
            *("ranks", "nodes", "ranks_per_node", "launcher", "launcher_arguments", "program"),
            *("working_directory", "modules", "setup", "environment"),
        ),
    ),
    ("How its ranks work", ("threads", "numa", "numa_node", "watchdog")),
    ("What it says", ("progress", "verbose", "quiet")),
    ("For a batch system", ("time_limit", "stop_before", "account", "partition", "directives")),
)

_SUGGESTED = {
    "operation": "generate",
    "seed": "42",
    "dedup_ratio": "2",
    "compress_ratio": "1.5",
    "dedup_unit": "1MiB",
    "compress_unit": "1024",
    "fill": "backref",
    "overwrite": "true",
    "transfer_size": "4MiB",
    "align": "1MiB",
    "collective": "true",
    "resume": "true",
    "hint": "{striping_factor: 4}",
    "hints_file": "hints.txt",
    "space_check": "false",
    "preallocate": "true",
    "io": "posix",
    "direct": "true",
    "layout": "per-rank",
    "segments": "4",
    "strided": "true",
    "order": "random",
    "sync": "each",
    "stripe_count": "4",
    "stripe_size": "4MiB",
    "queue_depth": "2",
    "phases": "[write, read]",
    "repeat": "3",
    "warm_up": "1",
    "fresh_file": "false",
    "keep": "true",
    "read_order": "shuffle",
    "shuffle_seed": "1",
    "drop_cache": "true",
    "sample": "1%",
    "blocks": "1000",
    "sample_seed": "1",
    "also_known": "[41, 43]",
    "ranks": "4",
    "nodes": "2",
    "ranks_per_node": "2",
    "launcher": "srun",
    "launcher_arguments": "[--oversubscribe]",
    "program": "/opt/dgen-mpi/bin/dgen-mpi",
    "working_directory": "/scratch/me",
    "modules": "[openmpi]",
    "setup": "['ulimit -n 4096']",
    "environment": "{OMPI_MCA_io: romio321}",
    "threads": "4",
    "numa": "force",
    "numa_node": "0",
    "watchdog": "300",
    "progress": "lines",
    "verbose": "true",
    "quiet": "true",
    "time_limit": "30m",
    "stop_before": "60s",
    "account": "project",
    "partition": "batch",
    "directives": "[--constraint=cpu]",
    "name": "my-campaign",
    "steps": "[{operation: generate, ranks: 4}, {operation: verify, ranks: 3}]",
}


def _commented(given: dict[str, Any]) -> str:
    """Return a job file with all that is given, and the rest as comments."""
    fields = Job.model_fields
    lines = [
        "# A job of dgen-mpi. A field may have a list of values: a case for every combination.",
        "#   dgen check FILE    dgen run FILE    dgen report FOLDER",
        "# Sizes as 4096, 64KiB, 1.5GiB. Lines that begin with # are not used.",
    ]
    rest = dict(given)
    for title, keys in _GROUPS:
        lines += ["", f"# {title}."]
        for key in keys:
            described = fields[key].description if key in fields else "Jobs run one after another."
            if key in rest:
                lines += [
                    f"# {described}",
                    files.dump({key: _plain(rest.pop(key))}).rstrip(),
                ]
            else:
                lines.append(f"# {key}: {_SUGGESTED[key]}  # {described}")
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
