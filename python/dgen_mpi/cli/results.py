# SPDX-License-Identifier: MIT OR Apache-2.0
"""`dgen report`: tables, comparisons and pictures of what campaigns measured."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from dgen_mpi import analyze
from dgen_mpi import report as reports
from dgen_mpi._files import replace
from dgen_mpi.cli.campaigns import reason_of
from dgen_mpi.cli.output import new_console, print_json, require_output, say
from dgen_mpi.jobs import CampaignFolder


def report(options: argparse.Namespace) -> None:
    """Tabulate, compare and draw the results of campaigns."""
    _require_outputs_of_report(options)
    results = reports.load(*options.paths)
    if options.plot:
        reports.draw(results, options.plot, options.x, options.series)
    if options.map:
        reports.draw_map(options.paths, options.map)
    if options.plot_ratios:
        found = [
            analyze.load(path)
            for folder in map(Path, options.paths)
            for path in sorted(folder.rglob("analysis*.json"))
        ]
        if not found:
            raise reports.ReportError("no analysis; run dgen analyze FOLDER first")
        reports.draw_ratios(found, options.plot_ratios)
    changes = reports.compare(reports.load(options.compare), results) if options.compare else None
    if options.csv:
        table = io.StringIO(newline="")
        results.to_csv(table)
        if options.csv != "-":
            replace(options.csv, table.getvalue())
        elif sys.stdout.isatty():
            for line in table.getvalue().splitlines():
                say(line)
        else:
            sys.stdout.write(table.getvalue())
    if options.json:
        content = results.to_json()
        if changes is not None:
            content["changes"] = [
                {
                    "case": change.case,
                    "step": change.step,
                    "operation": change.operation,
                    "before": change.before.median,
                    "after": change.after.median,
                    "percent": change.percent,
                    "before_spread_percent": change.before.spread_percent,
                    "after_spread_percent": change.after.spread_percent,
                    "stands_out": change.stands_out,
                }
                for change in changes
            ]
        print_json(content)
    elif options.csv != "-":
        console = new_console()
        console.print(reports.comparison_table(changes) if changes else results.table())
        _warn_of_unfinished(options.paths)
    for field in ("plot", "plot_ratios", "map", "csv"):
        path = getattr(options, field)
        if path and (field, path) != ("csv", "-"):
            say(f"written: {path}", sys.stderr)


def _require_outputs_of_report(options: argparse.Namespace) -> None:
    """Refuse outputs that are one file, or one that is read."""
    read = [*options.paths, *filter(None, [options.compare])]
    inputs: list[tuple[str | Path, str]] = [(path, "what is read") for path in read]
    for field in ("plot", "plot_ratios", "map", "csv"):
        output = getattr(options, field)
        if output:
            require_output(field, output, inputs)
            inputs.append((output, f"what {field} writes"))


def _warn_of_unfinished(paths: Sequence[str]) -> None:
    for path in paths:
        if not (Path(path) / "index.json").exists():
            continue
        folder = CampaignFolder.open(path)
        for case in folder.unfinished():
            state = folder.state(case)
            reason = reason_of(folder, case, state)
            say(f"{case.name}: {state}{f': {reason}' if reason else ''}")
