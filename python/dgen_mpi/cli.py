# SPDX-License-Identifier: MIT OR Apache-2.0
"""What `dgen` does: job files, campaigns, results, and looks into files."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

from rich.console import Console
from rich.prompt import Prompt
from rich.table import Table

import dgen_mpi
from dgen_mpi import _native, analyze, report
from dgen_mpi._display import Display
from dgen_mpi._files import Shard, open_data, replace, shard_path, shards
from dgen_mpi._text import cell, plain
from dgen_mpi.jobs import (
    SCHEDULERS,
    BatchSystem,
    Campaign,
    CampaignFolder,
    Case,
    Ended,
    Job,
    JobError,
    State,
    campaign_schema,
    files,
    is_axis,
    job_schema,
    logs,
    run,
    script,
    shell,
    values,
)
from dgen_mpi.jobs.campaign import refuse_clashes
from dgen_mpi.jobs.folder import keep_and_replace, write_json
from dgen_mpi.jobs.local import STOP_SECONDS
from dgen_mpi.jobs.model import ONLY
from dgen_mpi.jobs.places import is_same_file, needed_files
from dgen_mpi.jobs.values import OPERATIONS

DONE, DIFFERS, USAGE, FAILED, INTERRUPTED = 0, 1, 2, 3, 5
"""Exit statuses, as those of `dgen-mpi`."""

STATUS_OF = {
    State.DONE: DONE,
    State.MISMATCH: DIFFERS,
    State.INTERRUPTED: INTERRUPTED,
    State.CANCELLED: INTERRUPTED,
}

CHUNK = 8 << 20
"""Bytes that `verify` reads at once."""

RANGES_MAX = 1000
"""Damaged ranges that `verify` lists; all are counted."""

RANGES_SHOWN = 20
"""Those that it prints for people."""


def main(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit status: that of `dgen-mpi`, 0 to 5.

    Whatever happens is told in one line; with ``DGEN_DEBUG`` in the environment, where it happened
    too.
    """
    try:
        if sys.stdout is None:
            return _complain("stdout: closed; give it a place", FAILED)
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Names of files may hold bytes that are no UTF-8.
            sys.stdout.reconfigure(errors="backslashreplace")
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            status = _run_command(arguments)
        finally:
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
            # What cannot be delivered was not done.
            sys.stdout.flush()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else USAGE
    except BrokenPipeError:
        # Whoever read our output has gone; nothing more can be said there.
        _abandon_output()
        return FAILED
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except Exception as error:
        if os.environ.get("DGEN_DEBUG"):
            traceback.print_exc()
        return _complain(*_told(error))
    return status


def _told(error: Exception) -> tuple[str, int]:
    """Return what is said of an error, and the exit status."""
    if isinstance(error, OSError) and not isinstance(error, ValueError):
        try:
            sys.stdout.flush()
        except OSError as lost:
            _abandon_output()
            return f"stdout: {lost.strerror}", FAILED
        return _reason_of(error), FAILED
    if isinstance(error, MemoryError):
        return "not enough memory", FAILED
    if isinstance(error, ValueError):
        return str(error) or type(error).__name__, USAGE
    kind = type(error).__name__
    return f"internal error: {kind}: {error}; DGEN_DEBUG=1 tells where", FAILED


def _reason_of(error: OSError) -> str:
    if error.strerror is None:
        return str(error) or type(error).__name__
    name = error.filename
    named = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else "input or output"
    return f"{named}: {error.strerror}"


def _abandon_output() -> None:
    """Have Python not try again, at its end, to write what cannot be written."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _run_command(arguments: Sequence[str]) -> int:
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("dgen: %(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    # The fields of a new job may stand anywhere.
    if options.command is _new and all("=" in word and word[0] != "-" for word in rest):
        options.settings += rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if options.verbose:
        logging.getLogger("dgen_mpi").setLevel(logging.INFO)
    status: int = options.command(options)
    return status


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _complain(message: str, status: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        _say(f"dgen: error: {' '.join(message.split())}", sys.stderr)
    return status


def _say(text: str, file: TextIO | None = None) -> None:
    """Print a line for people: no text of a user or of a file tells a terminal what to do."""
    print(plain(text), file=file or sys.stdout, flush=True)


class _Formatter(logging.Formatter):
    """Log lines as `_say` prints them."""

    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record))


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong as everything else here, and hides no failure."""

    def error(self, message: str) -> NoReturn:
        super().error(plain(message))

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            (file or sys.stderr).write(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dgen", description="Campaigns of dgen-mpi jobs, their results, and looks into files."
    )
    parser.add_argument("--version", action="version", version=dgen_mpi.__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(
        name: str, function: Callable[[argparse.Namespace], int], help_text: str
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help_text, description=help_text)
        made.set_defaults(command=function)
        made.add_argument("--json", action="store_true", help="print JSON")
        made.add_argument("-v", "--verbose", action="store_true", help="log what is done")
        return made

    made = command("new", _new, "Write a commented job file, from options or by asking.")
    made.add_argument("file", type=Path, help="the file to write")
    made.add_argument("--force", action="store_true", help="replace an existing file")
    made.add_argument(
        "settings", nargs="*", metavar="FIELD=VALUE", help="fields, such as size=1GiB ranks=[1,2,4]"
    )

    made = command("check", _check, "Check a job or campaign file, and show what it would do.")
    _add_file(made)

    made = command("render", _render, "Write batch scripts, to be read before they are submitted.")
    _add_file(made)
    made.add_argument("--scheduler", choices=SCHEDULERS, default="slurm")
    made.add_argument("--single", metavar="FILE", help="one script for all cases; '-' for stdout")

    made = command("run", _run, "Run a campaign on this machine; what was done is not done again.")
    _add_file(made)
    made.add_argument("--dry-run", action="store_true", help="show what would be run, and how long")
    made.add_argument("--rate", help="bytes per second to estimate times with, such as 1.5GiB")
    made.add_argument(
        "--measure", action="store_true", help="measure that rate with a file of 256 MiB"
    )
    made.add_argument("--stop-at-failure", action="store_true", help="leave the rest alone then")

    made = command("submit", _submit, "Give a campaign to a batch system.")
    _add_file(made)
    made.add_argument("--executor", default="slurm", help="slurm, pbs, lsf, flux or local")
    made.add_argument("--wait", action="store_true", help="wait until all jobs have ended")

    made = command("status", _status, "Show how far the cases of a campaign are.")
    made.add_argument("folder", type=Path)
    made.add_argument("--wait", action="store_true", help="wait until all jobs have ended")

    made = command("cancel", _cancel, "Cancel the jobs of a campaign.")
    made.add_argument("folder", type=Path)
    made.add_argument("cases", nargs="*", help="only these")

    made = command("report", _report, "Tabulate, compare and draw the results of campaigns.")
    made.add_argument("paths", nargs="+", help="folders of campaigns, or reports")
    made.add_argument(
        "--csv", metavar="FILE", help="write a line for each operation; '-' for stdout"
    )
    made.add_argument("--compare", metavar="FOLDER", help="an earlier campaign to compare with")
    made.add_argument("--plot", metavar="FILE", help="draw the bandwidth, PNG or SVG")
    made.add_argument(
        "-x", default="ranks", help="what it is drawn against: ranks, transfer_size, ..."
    )
    made.add_argument("--series", help="a line for each value of this field")
    made.add_argument(
        "--plot-ratios",
        metavar="FILE",
        help="draw requested against measured ratios (dgen analyze)",
    )

    made = command("analyze", _analyze, "Measure how well a file deduplicates and compresses.")
    made.add_argument("paths", nargs="+", metavar="FILE", help="files, or folders of campaigns")
    made.add_argument("--sample", help="read only so much, such as 1GiB")
    made.add_argument("--dedup-units", default="4KiB,64KiB,1MiB", help="fixed blocks")
    made.add_argument("--chunk-units", default="8KiB,64KiB", help="average chunks by content")
    made.add_argument("--compress-units", default="4KiB,64KiB,1MiB", help="units of compression")
    made.add_argument("--codecs", default="lz4,zstd,zlib")
    made.add_argument("--threads", type=int, help="as many as there are processors")
    made.add_argument("--plot", metavar="FILE", help="draw the ratios, PNG or SVG")

    made = command(
        "verify", _verify, "Compare a file with what its manifest says, in this process."
    )
    made.add_argument("file", type=Path)
    made.add_argument("--threads", type=int, help="as many as there are processors")

    made = command(
        "schema", _schema, "Print the JSON Schema of job or campaign files, for editors."
    )
    made.add_argument("kind", choices=["job", "campaign"], nargs="?", default="campaign")
    return parser


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="a job or campaign file")
    parser.add_argument("-d", "--folder", type=Path, help="where results go: ./NAME by default")


def _print_json(content: Any) -> None:
    json.dump(content, sys.stdout, indent=2, default=str)
    print()


def _console() -> Console:
    # A table in a pipe is as wide as it is.
    width = None if sys.stdout.isatty() else 200
    return Console(width=width, markup=False, emoji=False, highlight=False)


def _open(options: argparse.Namespace) -> CampaignFolder:
    campaign = Campaign.load(options.file)
    return CampaignFolder.create(campaign, options.folder or Path(campaign.name))


# new, check, schema


_QUESTIONS = (
    ("output", "The file to write", "data"),
    ("size", "Its size", "1GiB"),
    ("ranks", "MPI ranks", "4"),
    ("dedup_ratio", "Dedup ratio", "1"),
    ("compress_ratio", "Compress ratio", "1"),
)


def _new(options: argparse.Namespace) -> int:
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
        _print_json({"file": str(options.file), "cases": [case.name for case in campaign.cases]})
    else:
        count = len(campaign.cases)
        _say(f"{options.file}: {count} {'case' if count == 1 else 'cases'}")
        _say(f"next: dgen check {name}")
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


def _check(options: argparse.Namespace) -> int:
    campaign = Campaign.load(options.file)
    if options.json:
        _print_json(_plan(campaign))
        return DONE
    table = Table(header_style="bold")
    for name in ("case", "steps"):
        table.add_column(name)
    for name in ("writes", "expected stored"):
        table.add_column(name, justify="right")
    for case in campaign.cases:
        table.add_row(
            cell(case.name),
            ", ".join(
                f"{job.operation} with {job.rank_count}"
                f" {'rank' if job.rank_count == 1 else 'ranks'}"
                for job in case.steps
            ),
            _native.format_size(case.bytes_written),
            _native.format_size(case.expected_stored_bytes),
        )
    _console().print(table)
    _say(f"{campaign.name}: {_total(campaign)}")
    return DONE


def _total(campaign: Campaign) -> str:
    count = len(campaign.cases)
    stored = sum(case.expected_stored_bytes for case in campaign.cases)
    return (
        f"{count} {'case' if count == 1 else 'cases'}, "
        f"{_native.format_size(campaign.bytes_written)} written, "
        f"{_native.format_size(stored)} expected to be stored"
    )


def _plan(campaign: Campaign, seconds: dict[str, float] | None = None) -> dict[str, Any]:
    return {
        "name": campaign.name,
        "bytes_written": campaign.bytes_written,
        "expected_stored_bytes": sum(case.expected_stored_bytes for case in campaign.cases),
        "cases": [
            {
                "name": case.name,
                "values": case.values,
                "bytes_written": case.bytes_written,
                "expected_stored_bytes": case.expected_stored_bytes,
                "commands": [job.command() for job in case.steps],
                **({"seconds": seconds[case.name]} if seconds else {}),
            }
            for case in campaign.cases
        ],
    }


def _schema(options: argparse.Namespace) -> int:
    _print_json(job_schema() if options.kind == "job" else campaign_schema())
    return DONE


# render, run, submit, status, cancel


SCRIPT_MARK = b" of dgen-mpi; `dgen report "
TABLE_MARK = b"campaign,case,step,operation,"
PICTURE_MARK = b"atplotlib"
"""What files have near their beginning that `render` and `report` write."""


def _require_output(
    field: str, output: str, inputs: Sequence[tuple[str | Path, str]], mark: bytes
) -> None:
    """Refuse a file to write that is needed otherwise, or is there and nothing of this kind."""
    if output == "-":
        return
    for path, what in inputs:
        if is_same_file(output, path):
            raise JobError(f"{field}: '{output}' is {what}; give another file")
    if not Path(output).is_file():
        return
    with Path(output).open("rb") as file:
        head = file.read(1 << 16)
    if head.strip() and mark not in head:
        raise JobError(f"{field}: '{output}' is there, and not of this command; give another file")


def _render(options: argparse.Namespace) -> int:
    campaign = Campaign.load(options.file)
    scheduler = options.scheduler
    if options.single:
        folder = options.folder or campaign.name
        text = script(campaign.cases, folder, scheduler=scheduler, name=campaign.name)
        if options.single == "-":
            print(text, end="")
            return DONE
        inputs: list[tuple[str | Path, str]] = [(options.file, "the campaign file")]
        for path, what in needed_files((case.name, case.steps) for case in campaign.cases):
            inputs.append((path, what))
        _require_output("single", options.single, inputs, SCRIPT_MARK)
        refuse_clashes(campaign.cases, "single", [(options.single, "the script")])
        replace(options.single, text)
        written = [options.single]
    else:
        folder = CampaignFolder.create(campaign, options.folder or Path(campaign.name))
        written = []
        for case in folder.campaign.cases:
            path = folder.place(case) / f"{scheduler}.sh"
            name = folder.title(case)
            text = script([case], folder.path, scheduler=scheduler, name=name)
            keep_and_replace(path, text)
            written.append(str(path))
    if options.json:
        _print_json({"scheduler": scheduler, "scripts": written})
    else:
        # Programs read them as they are.
        print("\n".join(map(plain, written) if sys.stdout.isatty() else written))
    return DONE


def _run(options: argparse.Namespace) -> int:
    if options.dry_run:
        return _dry_run(options)
    folder = _open(options)
    cases = folder.campaign.cases
    ended: list[Ended] = []
    with Display(folder, is_quiet=options.json) as display:
        for event in run(folder, stop_at_failure=options.stop_at_failure):
            display.show(event)
            if isinstance(event, Ended):
                ended.append(event)
    if options.json:
        _print_json(_states(folder, {case.name: folder.state(case) for case in cases}, ended))
    else:
        _say(f"results: dgen report {shell.word(os.path.relpath(folder.path))}")
    return _worst([event.state for event in ended])


def _worst(states: Sequence[State]) -> int:
    """Return the exit status of several cases: that of the first that did not end well."""
    bad = [state for state in states if state is not State.DONE]
    return STATUS_OF.get(bad[0], FAILED) if bad else DONE


def _dry_run(options: argparse.Namespace) -> int:
    campaign = Campaign.load(options.file)
    place = options.folder or Path(campaign.name)
    rate, source = _rate(options, campaign, place)
    seconds = {case.name: case.bytes_moved / rate for case in campaign.cases} if rate else None
    if options.json:
        plan = _plan(campaign, seconds)
        _print_json(plan | {"bytes_per_second": rate, "rate_source": source})
        return DONE
    for case in campaign.cases:
        stored = _native.format_size(case.expected_stored_bytes)
        time_text = f", about {_duration(seconds[case.name])}" if seconds else ""
        written = _native.format_size(case.bytes_written)
        _say(f"{case.name}: {written} written, {stored} expected to be stored{time_text}")
        for job in case.steps:
            _say(f"    {job.command()}")
    _say(f"{campaign.name}: {_total(campaign)}")
    if seconds and rate:
        whole = _duration(sum(seconds.values()))
        _say(f"about {whole} at {_native.format_size(int(rate))}/s, {source}")
    else:
        _say("time: unknown; give --rate, or --measure to measure one")
    return DONE


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _rate(options: argparse.Namespace, campaign: Campaign, place: Path) -> tuple[float | None, str]:
    """Return bytes per second to expect, and where that comes from."""
    if options.rate:
        return float(values.size(options.rate, 1)), "as given"
    if options.measure:
        return _measured_rate(campaign.cases[0]), "measured with a file of 256 MiB"
    if (place / "index.json").exists():
        found = report.load(place)
        if found:
            total = sum(result.seconds for result in found)
            moved = sum(result.bytes for result in found)
            if total > 0 and moved > 0:
                return moved / total, "as in the results that are there"
    return None, ""


def _measured_rate(case: Case) -> float:
    """Return bytes per second of a small job, launched as a case is, beside its file."""
    first = case.steps[0]
    work = Path(first.working_directory or ".").absolute()
    folder = Path(work / (first.output or "data")).parent
    settings = {
        key: value
        for key, value in first.settings().items()
        if key not in ("name", "operation", "report", "space_check", "quiet", "verbose", "resume")
        and "generate" in ONLY.get(key, OPERATIONS)
    }
    settings.setdefault("program", os.environ.get("DGEN_MPI_PROGRAM", "dgen-mpi"))
    environment = {**os.environ, **(first.environment or {})}
    # Nobody else has a file in there.
    with tempfile.TemporaryDirectory(prefix=".dgen-measure-", dir=folder) as place:
        settings |= {"size": "256MiB", "report": "-", "progress": "none"}
        settings["output"] = str(Path(place) / "data")
        job = Job.from_mapping(settings, "measure")
        started = _ran(["bash", "-c", job.command()], work, environment)
    try:
        operation = json.loads(started.stdout)["operations"][0]
        return float(operation["bytes_per_second"])
    except (ValueError, LookupError) as error:
        reason = logs.telling(started.stderr) or "no report"
        raise JobError(f"measure: {reason}") from error


def _ran(
    command: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command; whoever interrupts this stops it first."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    with process:
        try:
            output, errors = process.communicate()
        except BaseException:
            process.terminate()
            try:
                process.communicate(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _submit(options: argparse.Namespace) -> int:
    folder = _open(options)
    system = BatchSystem(options.executor)
    with folder.locked():
        folder.require_unchanged()
        states = system.states(folder, folder.campaign.cases)
        # What is done, or is with the batch system already, is not given to it again.
        wanted = [
            case
            for case in folder.campaign.cases
            if states[case.name] not in (State.DONE, State.QUEUED, State.RUNNING)
        ]
        names = system.submit(folder, wanted)
    if options.wait:
        return _show_states(options, folder, system.wait(folder, folder.campaign.cases))
    if options.json:
        _print_json({"folder": str(folder.path), "executor": options.executor, "jobs": names})
    else:
        for case, native in names.items():
            _say(f"{case}: {options.executor} job {native}")
        _say(f"next: dgen status {shell.word(os.path.relpath(folder.path))}")
    return DONE


def _systems(folder: CampaignFolder) -> dict[str, BatchSystem]:
    names = {
        submission["executor"]
        for case in folder.campaign.cases
        if (submission := folder.submission(case)) is not None and not folder.state(case).is_final
    }
    return {name: BatchSystem(name) for name in sorted(names)}


def _status(options: argparse.Namespace) -> int:
    folder = CampaignFolder.open(options.folder)
    states = {case.name: folder.state(case) for case in folder.campaign.cases}
    for name, system in _systems(folder).items():
        mine = [
            case
            for case in folder.campaign.cases
            if (folder.submission(case) or {}).get("executor") == name
        ]
        states |= system.wait(folder, mine) if options.wait else system.states(folder, mine)
    if folder.is_running():
        for case in folder.campaign.cases:
            is_open = folder.exit_status(case) is None and folder.submission(case) is None
            if states[case.name] is State.INTERRUPTED and is_open:
                states[case.name] = State.RUNNING
    return _show_states(options, folder, states)


def _show_states(
    options: argparse.Namespace, folder: CampaignFolder, states: dict[str, State]
) -> int:
    if options.json:
        _print_json(_states(folder, states))
    else:
        table = Table(header_style="bold")
        for name in ("case", "state", "job", "what went wrong"):
            table.add_column(name)
        for case in folder.campaign.cases:
            submission = folder.submission(case) or {}
            table.add_row(
                cell(case.name),
                str(states[case.name]),
                cell(submission.get("native_id", "")),
                cell(_reason(folder, case, states[case.name])),
            )
        _console().print(table)
    # Cases that go on are no failures.
    return _worst([state for state in states.values() if state.is_final])


def _reason(folder: CampaignFolder, case: Case, state: State) -> str:
    if state is State.DONE or not state.is_final:
        return ""
    for step in folder.results(case):
        if step.problem:
            return f"{step.name}: {step.problem}"
        if step.report is not None and not step.is_done:
            error = str(step.report.get("error") or step.report.get("status"))
            said = logs.reason(folder.log(case))
            # What the launcher said of a run that was killed; its report cannot know.
            more = f"; {said}" if state is State.INTERRUPTED and said and error not in said else ""
            return f"{step.name}: {error}{more}"
    status = folder.exit_status(case)
    ended = "ended without a report" if status is None else f"ended with status {status}"
    said = logs.reason(folder.log(case))
    return f"{ended}: {said}" if said else ended


def _states(
    folder: CampaignFolder, states: dict[str, State], ended: Sequence[Ended] = ()
) -> dict[str, Any]:
    earlier = {event.case.name for event in ended if event.was_done}
    return {
        "folder": str(folder.path),
        "cases": [
            {
                "name": case.name,
                "state": str(states[case.name]),
                "was_done": case.name in earlier,
                "reason": _reason(folder, case, states[case.name]),
                "submission": folder.submission(case),
            }
            for case in folder.campaign.cases
        ],
    }


def _cancel(options: argparse.Namespace) -> int:
    folder = CampaignFolder.open(options.folder)
    known = {case.name: case for case in folder.campaign.cases}
    for name in options.cases:
        if name not in known:
            raise JobError(f"case: '{name}' is not accepted; give one of {' '.join(known)}")
    cases = [known[name] for name in options.cases] or list(known.values())
    cancelled: list[str] = []
    for system in _systems(folder).values():
        cancelled += system.cancel(folder, cases)
    if options.json:
        _print_json({"cancelled": cancelled})
    else:
        for line in [f"{name}: cancelled" for name in cancelled] or ["nothing to cancel"]:
            _say(line)
    return DONE


# report, analyze, verify


def _report(options: argparse.Namespace) -> int:
    _require_outputs_of_report(options)
    results = report.load(*options.paths)
    written = []
    if options.plot:
        report.draw(results, options.plot, options.x, options.series)
        written.append(options.plot)
    if options.plot_ratios:
        found = [
            analyze.load(path)
            for folder in map(Path, options.paths)
            for path in sorted(folder.rglob("analysis*.json"))
        ]
        if not found:
            raise report.ReportError("no analysis; run dgen analyze FOLDER first")
        report.draw_ratios(found, options.plot_ratios)
        written.append(options.plot_ratios)
    changes = report.compare(report.load(options.compare), results) if options.compare else None
    if options.csv == "-" and sys.stdout.isatty():
        lines = io.StringIO()
        results.to_csv(lines)
        for line in lines.getvalue().splitlines():
            _say(line)
    elif options.csv == "-":
        results.to_csv(sys.stdout)
    elif options.csv:
        table = io.StringIO(newline="")
        results.to_csv(table)
        replace(options.csv, table.getvalue())
        written.append(options.csv)
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
        _print_json(content)
    elif options.csv != "-":
        console = _console()
        console.print(report.comparison_table(changes) if changes else results.table())
        _warn_of_unfinished(options.paths)
    for path in written:
        _say(f"written: {path}", sys.stderr)
    return DONE


def _require_outputs_of_report(options: argparse.Namespace) -> None:
    """Refuse outputs that are one file, or one that is read."""
    read = [*options.paths, *filter(None, [options.compare])]
    inputs: list[tuple[str | Path, str]] = [(path, "what is read") for path in read]
    for field, mark in (
        ("plot", PICTURE_MARK),
        ("plot_ratios", PICTURE_MARK),
        ("csv", TABLE_MARK),
    ):
        output = getattr(options, field)
        if output:
            _require_output(field, output, inputs, mark)
            inputs.append((output, f"what {field} writes"))


def _warn_of_unfinished(paths: Sequence[str]) -> None:
    for path in paths:
        if not (Path(path) / "index.json").exists():
            continue
        folder = CampaignFolder.open(path)
        for case in folder.campaign.cases:
            state = folder.state(case)
            if state is not State.DONE:
                reason = _reason(folder, case, state)
                _say(f"{case.name}: {state}{f': {reason}' if reason else ''}")


def _sizes(text: str, field: str) -> tuple[int, ...]:
    found = []
    for part in filter(None, text.split(",")):
        try:
            found.append(values.size(part.strip(), 1))
        except ValueError as error:
            raise JobError(f"{field}: {error}") from error
    return tuple(found)


def _analyze(options: argparse.Namespace) -> int:
    wanted: list[tuple[Path, Path | None]] = []
    for text in options.paths:
        path = Path(text)
        if not path.is_dir():
            wanted.append((path, None))
            continue
        folder = CampaignFolder.open(path)
        for case in folder.campaign.cases:
            for number, output in enumerate(case.outputs):
                # Of a file for each rank, the first.
                for file in (Path(output), shard_path(Path(output), 0)):
                    if file.exists():
                        suffix = f"-{number}" if number else ""
                        wanted.append((file, folder.place(case) / f"analysis{suffix}.json"))
                        break
    if not wanted:
        raise JobError("no files to analyze: they are not there any more")
    if options.plot and len(wanted) > 1:
        raise JobError("plot: one file at a time; dgen report --plot-ratios draws several")
    if options.plot:
        inputs: list[tuple[str | Path, str]] = [(path, "what is read") for path, _ in wanted]
        inputs += [(f"{path}.dgen.json", "the manifest") for path, _ in wanted]
        _require_output("plot", options.plot, inputs, PICTURE_MARK)
    sample = _sizes(options.sample, "sample")[0] if options.sample else None
    found = []
    for path, kept in wanted:
        with Display.bytes(f"analyze {path.name}", is_quiet=options.json) as progress:
            analysis = analyze.analyze(
                path,
                dedup_units=_sizes(options.dedup_units, "dedup_units"),
                chunk_units=_sizes(options.chunk_units, "chunk_units"),
                compress_units=_sizes(options.compress_units, "compress_units"),
                codecs=tuple(filter(None, options.codecs.split(","))),
                sample_bytes=sample,
                threads=options.threads,
                progress=progress,
            )
        found.append(analysis)
        if kept is not None:
            write_json(kept, analysis)
        if options.plot:
            analyze.draw(analysis, options.plot)
        if not options.json:
            read, whole = analysis["sampled_bytes"], analysis["file_bytes"]
            sampled = "" if read == whole else f", {_native.format_size(read)} of it read"
            _say(f"{path}: {_native.format_size(whole)}{sampled}")
            _console().print(analyze.table(analysis))
    if options.json:
        _print_json(found[0] if len(found) == 1 and len(options.paths) == 1 else found)
    return DONE


TRUNCATED = "truncated"
"""The kind of damage that bytes are which are not there."""


def _as_one(first: dgen_mpi.Damage, second: dgen_mpi.Damage) -> dict[str, Any]:
    """Return what is true of two damaged ranges that are one, and of what lies between them."""
    end = first.offset + first.bytes
    # Where one goes on as the other, none of them ends with a block.
    kinds = ["foreign" if it.kind == "torn" else it.kind for it in (first, second)]
    known: dict[str, Any] = {
        "kind": kinds[0],
        "seed": first.seed,
        "source_offset": first.source_offset,
        "sampled": first.sampled or second.sampled,
    }
    if kinds == ["bit_flips", "bit_flips"]:
        bits = (first.flipped_bits or 0) + (second.flipped_bits or 0)
        return known | {"flipped_bits": bits, "bits": (first.bits + second.bits)[:64]}
    if kinds == ["misplaced", "misplaced"]:
        moved = (second.source_offset or 0) - (first.source_offset or 0)
        is_one = moved == second.offset - first.offset
    else:
        is_one = kinds[0] == kinds[1] != "mixed" and first.seed == second.seed
    # Right bytes between two ranges are what they are by chance only where these are of no origin.
    if is_one and (second.offset == end or kinds[0] == "foreign"):
        return known
    parts = [
        part
        for damage, kind in zip((first, second), kinds, strict=True)
        for part in (damage.parts or [(kind, damage.offset, damage.bytes)])
    ]
    counts = [damage.part_count or 1 for damage in (first, second)]
    return {
        "kind": "mixed",
        "parts": parts[:16],
        "part_count": sum(counts),
        "sampled": known["sampled"],
    }


class _Damages:
    """Damaged ranges in file order, joined as the program joins them: a list and full counts."""

    def __init__(self, gap: int) -> None:
        self._gap = gap
        self._last: dgen_mpi.Damage | None = None
        self.ranges: list[dgen_mpi.Damage] = []
        self.count = 0
        self.wrong_bytes = 0

    @property
    def room(self) -> int:
        """How many more ranges are listed."""
        return RANGES_MAX - len(self.ranges)

    def add(self, found: dgen_mpi.DamagedRanges) -> None:
        """Add ranges that lie behind the last one; the first of them is listed."""
        if not found:
            return
        new, last = list(found), found.last
        joined = self._joined(new[0])
        if joined is not None:
            if self.count <= RANGES_MAX:
                self.ranges[-1] = joined
            self.count -= 1
            last = joined if found.range_count == 1 else last
            del new[0]
        self.ranges += new[: self.room]
        self.count += found.range_count
        self.wrong_bytes += found.wrong_bytes
        self._last = last

    def _joined(self, new: dgen_mpi.Damage) -> dgen_mpi.Damage | None:
        """Return the last range together with the next, if they are one."""
        last = self._last
        if last is None or (last.kind == TRUNCATED) != (new.kind == TRUNCATED):
            return None
        if new.offset - last.offset - last.bytes >= self._gap:
            return None
        return dgen_mpi.Damage(
            last.offset,
            new.offset + new.bytes - last.offset,
            last.wrong_bytes + new.wrong_bytes,
            _as_one(last, new),
        )


def _verify_file(
    spec: dgen_mpi.DataSpec, shard: Shard, damages: _Damages, progress: Callable[[int, int], None]
) -> tuple[int, int]:
    """Compare one file with its part of the data set; return its length and what was compared."""
    buffer = bytearray(CHUNK)
    offset = shard.start
    with open_data(shard.path) as file:
        while offset < shard.stop:
            length = file.readinto(memoryview(buffer)[: min(CHUNK, shard.stop - offset)])
            if not length:
                break
            part = memoryview(buffer)[:length]
            if damages.count <= RANGES_MAX:
                # The first of them may belong to the last one that is listed.
                damages.add(spec.compare(part, offset, limit=max(damages.room, 1)))
            else:
                damages.add(spec.compare(part, offset, limit=1, search_bytes=0))
            offset += length
            progress(offset, spec.size)
    if offset < shard.stop:
        missing = shard.stop - offset
        gone = dgen_mpi.Damage(offset, missing, missing, {"kind": TRUNCATED})
        damages.add(dgen_mpi.DamagedRanges([gone], 1, missing, missing))
    return shard.path.stat().st_size, offset - shard.start


def _verify(options: argparse.Namespace) -> int:
    path: Path = options.file
    spec = dgen_mpi.DataSpec.from_manifest(path, max_threads=options.threads)
    damages = _Damages(spec.compress_unit)
    file_bytes = compared = 0
    started = time.monotonic()
    with Display.bytes(f"verify {path.name}", is_quiet=options.json) as progress:
        for shard in shards(path, spec.size):
            found, read = _verify_file(spec, shard, damages, progress)
            file_bytes, compared = file_bytes + found, compared + read
    seconds = time.monotonic() - started
    is_right = damages.count == 0 and file_bytes == spec.size
    if options.json:
        _print_json(
            {
                "path": str(path.absolute()),
                "status": "ok" if is_right else "mismatch",
                "size": spec.size,
                "file_bytes": file_bytes,
                "seconds": seconds,
                "wrong_bytes": damages.wrong_bytes,
                "damage_ranges": damages.count,
                "damage": [damaged.as_dict() for damaged in damages.ranges],
            }
        )
        return DONE if is_right else DIFFERS
    rate = report.rate(compared / seconds if seconds else 0)
    _say(f"{path}: {_native.format_size(compared)} compared, {rate}")
    for damaged in damages.ranges[:RANGES_SHOWN]:
        wrong = f"{damaged.wrong_bytes} of {damaged.bytes} bytes wrong"
        estimate = ", as samples of it tell" if damaged.sampled else ""
        _say(f"  offset {damaged.offset}: {wrong}, {damaged.kind.replace('_', ' ')}{estimate}")
    if damages.count > RANGES_SHOWN:
        _say(f"  and {damages.count - RANGES_SHOWN} more ranges")
    if file_bytes != spec.size:
        _say(f"  the file has {file_bytes} bytes instead of {spec.size}")
    wrong = f"{damages.wrong_bytes} bytes wrong or missing"
    print("every byte is right" if is_right else wrong)
    return DONE if is_right else DIFFERS
