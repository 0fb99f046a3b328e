# SPDX-License-Identifier: MIT OR Apache-2.0
"""Results of campaigns: read, tabulated, compared and drawn.

Needs what ``pip install 'dgen-mpi[jobs]'`` installs.
"""

from __future__ import annotations

import csv
import dataclasses
import statistics
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from dgen_mpi import _native, _records
from dgen_mpi._records import ReportError as ReportError
from dgen_mpi._text import cell, new_table

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


@dataclass(frozen=True)
class Result:
    """One operation of one run: a write or a verification of a whole file."""

    campaign: str
    case: str
    step: str
    operation: str
    iteration: int
    status: str
    """How its run ended: ok, mismatch, failed or interrupted."""
    bytes: int
    seconds: float
    """From the first rank's open to the last rank's close."""
    bytes_per_second: float
    generate_seconds: float
    transfer_seconds: float
    sync_seconds: float
    ranks: int
    nodes: int
    transfer_size: int
    collective: bool
    size: int
    dedup_ratio: float | None
    compress_ratio: float | None
    """None where no ratio was told: classes stand for it, or the run had no data set yet."""
    kernel: str
    file_system: str
    path: str
    started: str
    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What the campaign swept."""

    def value(self, name: str) -> Any:
        """Return a field of this name, or else what the campaign swept under it."""
        return _number((self.values | vars(self)).get(name))


@dataclass(frozen=True)
class Summary:
    """Operations of the same kind: runs of a case, and repetitions of a test."""

    campaign: str
    case: str
    """The case, without the number of the run."""
    step: str
    operation: str
    count: int
    minimum: float
    """In bytes per second, as all that follow."""
    median: float
    mean: float
    maximum: float
    standard_deviation: float
    results: tuple[Result, ...]

    @property
    def spread_percent(self) -> float:
        """The distance between the extremes, as a part of the median."""
        return 100 * (self.maximum - self.minimum) / self.median if self.median else 0.0


@dataclass(frozen=True)
class Change:
    """The same operations in two campaigns."""

    case: str
    step: str
    operation: str
    before: Summary
    after: Summary

    @property
    def percent(self) -> float:
        """How much faster the second is; negative where it is slower."""
        before = self.before.median
        return 100 * (self.after.median / before - 1) if before else 0.0

    @property
    def stands_out(self) -> bool:
        """Whether the two do not overlap; with one run each, that says little."""
        return self.after.minimum > self.before.maximum or self.after.maximum < self.before.minimum


class Results(list[Result]):
    """Operations of one or more campaigns."""

    def summaries(self) -> list[Summary]:
        """Return the operations grouped by case and step, runs and repetitions together."""
        groups: dict[tuple[str, str, str, str], list[Result]] = {}
        for result in self:
            if result.bytes_per_second > 0:
                key = (result.campaign, _without_run(result), result.step, result.operation)
                groups.setdefault(key, []).append(result)
        return [_summary(key, found) for key, found in groups.items()]

    def table(self) -> Table:
        """Return a table for people: a row for each case and operation."""
        numbers = ("ranks", "size", "runs", "median", "minimum", "maximum", "spread")
        table = new_table(("case", "step", "operation"), numbers)
        for summary in self.summaries():
            first = summary.results[0]
            several = summary.count > 1
            table.add_row(
                cell(summary.case),
                cell(summary.step),
                cell(summary.operation),
                str(first.ranks),
                _native.format_size(first.bytes),
                str(summary.count),
                rate(summary.median),
                rate(summary.minimum) if several else "",
                rate(summary.maximum) if several else "",
                f"{summary.spread_percent:.0f} %" if several else "",
            )
        return table

    def records(self) -> list[dict[str, Any]]:
        """Return a flat record for each operation; what was swept under ``swept_...``."""
        found = []
        for result in self:
            record = dataclasses.asdict(result)
            swept = record.pop("values")
            found.append(record | {f"swept_{key}": shown(value) for key, value in swept.items()})
        return found

    def to_csv(self, file: TextIO) -> None:
        """Write a line for each operation."""
        records = self.records()
        names = list(dict.fromkeys(key for record in records for key in record))
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)

    def to_json(self) -> dict[str, Any]:
        """Return what programs read: every operation, and the summaries."""
        summaries = []
        for summary in self.summaries():
            fields = vars(summary) | {"spread_percent": summary.spread_percent}
            del fields["results"]
            summaries.append(fields)
        return {
            "format": "dgen-results/1",
            "results": [dataclasses.asdict(result) for result in self],
            "summaries": summaries,
        }

    def to_pandas(self) -> pd.DataFrame:
        """Return a pandas data frame with a row for each operation; needs pandas."""
        import pandas as pd

        return pd.DataFrame(self.records())


def load(*paths: str | Path) -> Results:
    """Return the operations of campaigns and reports.

    The paths are folders of campaigns, folders in which there are reports somewhere, or reports.
    Raises ReportError for what is none of these, and for a file that is no report.
    """
    results = Results()
    for path in map(Path, paths):
        if not path.exists():
            raise ReportError(f"{path}: no such file or directory")
        found = _reports(path)
        index = path / "index.json"
        cases = {}
        if index.exists():
            cases = {case["name"]: case["values"] for case in _records.index(index)["cases"]}
        elif not found:
            raise ReportError(f"{path}: no reports")
        # In the order of the campaign, not of the alphabet.
        order = {name: number for number, name in enumerate(cases)}
        found.sort(key=lambda report: order.get(report.parent.name, len(order)))
        title = path.resolve().name if path.is_dir() else path.resolve().parent.name
        for report in found:
            case, step = report.parent.name, report.name.removesuffix(".report.json")
            results += [
                Result(title, case, step, values=cases.get(case, {}), **fields)
                for fields in _records.operations(report)
            ]
    return results


def _reports(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.report.json"))


def _without_run(result: Result) -> str:
    if "runs" not in result.values:
        return result.case
    name = f"run{result.values['runs']}"
    return result.case.removesuffix(f"-{name}") if result.case != name else "all"


def _summary(key: tuple[str, str, str, str], results: list[Result]) -> Summary:
    rates = [result.bytes_per_second for result in results]
    middle = (statistics.median(rates), statistics.fmean(rates))
    deviation = statistics.stdev(rates) if len(rates) > 1 else 0.0
    return Summary(*key, len(rates), min(rates), *middle, max(rates), deviation, tuple(results))


def compare(before: Results, after: Results) -> list[Change]:
    """Return the operations that two campaigns have in common, by case and step.

    Raises ReportError where they have none in common.
    """
    found = {(it.case, it.step, it.operation): it for it in before.summaries()}
    changes = [
        Change(*key, found[key], it)
        for it in after.summaries()
        if (key := (it.case, it.step, it.operation)) in found
    ]
    if not changes:
        raise ReportError("the two campaigns have no case and step in common")
    return changes


def comparison_table(changes: Iterable[Change]) -> Table:
    """Return a table for people: a row for each case and operation of two campaigns."""
    numbers = ("before", "spread", "after", "spread", "change", "")
    table = new_table(("case", "operation"), numbers)
    for change in changes:
        table.add_row(
            cell(change.case),
            cell(change.operation),
            rate(change.before.median),
            f"{change.before.spread_percent:.0f} %",
            rate(change.after.median),
            f"{change.after.spread_percent:.0f} %",
            f"{change.percent:+.1f} %",
            "" if change.stands_out else "within the spread",
        )
    return table


def draw(results: Results, path: str | Path, x: str = "ranks", series: str | None = None) -> None:
    """Draw bandwidth against a field, medians with bars from the least to the most.

    There is a line for each operation, or for each value of `series` of each; `x` and `series` are
    fields of `Result`, or something that the campaign swept. The picture is PNG or SVG by its
    suffix, or whatever matplotlib knows. Raises ReportError for a field that no result has, and for
    a picture that cannot be written.
    """
    lines: dict[str, dict[Any, list[float]]] = {}
    for result in results:
        place = result.value(x)
        if place is None or result.bytes_per_second <= 0:
            continue
        name = result.operation
        if series is not None:
            name += f", {series} {shown(result.value(series))}"
        lines.setdefault(name, {}).setdefault(place, []).append(result.bytes_per_second / 2**30)
    if not lines:
        raise ReportError(f"x: no result has '{x}'")
    from dgen_mpi import plots

    with _drawing(path):
        plots.draw_bandwidth(lines, x, path)


def draw_ratios(analyses: Sequence[dict[str, Any]], path: str | Path) -> None:
    """Draw measured against requested ratios, of what `dgen_mpi.analyze.analyze` found; see `draw`.

    Raises ReportError where no analysis is of a file with a manifest: none says what was requested.
    """
    points: dict[str, list[tuple[float, float]]] = {}
    for analysis in analyses:
        spec = analysis.get("spec")
        if not spec:
            continue
        for found in analysis["compression"] if spec.get("compress_ratio") else ():
            name = f"{found['codec']}, {_native.format_size(found['unit'])} units"
            points.setdefault(name, []).append((spec["compress_ratio"], found["ratio"]))
        for found in analysis["dedup"] if spec.get("dedup_ratio") else ():
            if found["kind"] == "fixed" and found["unit"] == spec["dedup_unit"]:
                name = f"dedup, {_native.format_size(found['unit'])} blocks"
                points.setdefault(name, []).append((spec["dedup_ratio"], found["ratio"]))
    if not points:
        raise ReportError("no analysis is of a file with a manifest")
    from dgen_mpi import plots

    with _drawing(path):
        plots.draw_ratios(points, path)


def draw_map(paths: Iterable[str | Path], path: str | Path) -> None:
    """Draw a data set, offset by colour of generation or damage, as a report says; see `draw`.

    The paths are as for `load`. Raises ReportError unless exactly one of the reports has a map:
    `verify` with ``--from``, or of damaged data, writes one.
    """
    reports = [
        (name, _records.report(name)) for each in map(Path, paths) for name in _reports(each)
    ]
    found = [(name, content) for name, content in reports if content.get("map")]
    if len(found) != 1:
        why = "no report has a map" if not found else f"{len(found)} reports have a map; name one"
        raise ReportError(f"map: {why} (verify --from, or of damaged data, writes one)")
    name, content = found[0]
    size = (content.get("spec") or {}).get("size") or 0
    if size < 1:
        raise ReportError(f"{name}: map: of no data set")
    from dgen_mpi import plots

    with _drawing(path):
        plots.draw_map(content["map"], size, content.get("path") or str(name), path)


@contextmanager
def _drawing(path: str | Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise ReportError(f"{path}: {error}") from error


def rate(bytes_per_second: float) -> str:
    """Return a rate for people, in binary units."""
    return f"{_native.format_size(int(bytes_per_second))}/s"


def _number(value: Any) -> Any:
    """Return what was swept as a number, if it is one or a size."""
    if not isinstance(value, str):
        return shown(value) if isinstance(value, dict | list) else value
    for parse in (int, float, lambda text: _native.parse_size(text, "size")):
        with suppress(ValueError):
            return parse(value)
    return value


def shown(value: Any) -> str:
    """Return what was swept as a text."""
    if isinstance(value, dict):
        return " ".join(f"{key}={shown(element)}" for key, element in value.items())
    return " ".join(map(shown, value)) if isinstance(value, list) else str(value)
