# SPDX-License-Identifier: MIT OR Apache-2.0
"""What `dgen` does: job files, campaigns, results, and looks into files."""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import dgen_mpi
from dgen_mpi._text import plain
from dgen_mpi.cli import campaigns, files, new, results
from dgen_mpi.cli.output import LogFormatter, Status, abandon_output, complain
from dgen_mpi.jobs import SCHEDULERS

Add = Callable[..., argparse.Action]
"""Adds an argument to a command."""


def main(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit status: that of `dgen-mpi`, 0 to 5.

    Whatever happens is told in one line; with ``DGEN_DEBUG`` in the environment, where it happened
    too.
    """
    try:
        if sys.stdout is None:
            return complain("stdout: closed; give it a place", Status.FAILED)
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Names of files may hold bytes that are no UTF-8.
            sys.stdout.reconfigure(errors="backslashreplace")
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            status = _run_command(arguments)
        finally:
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
            # What cannot be delivered was not done.
            sys.stdout.flush()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else Status.USAGE
    except BrokenPipeError:
        # Whoever read our output has gone; nothing more can be said there.
        abandon_output()
        return Status.FAILED
    except KeyboardInterrupt:
        return complain("interrupted", Status.INTERRUPTED)
    except Exception as error:
        if os.environ.get("DGEN_DEBUG"):
            traceback.print_exc()
        return complain(*_told(error))
    return status


def _told(error: Exception) -> tuple[str, Status]:
    """Return what is said of an error, and the exit status."""
    kind = type(error).__name__
    if isinstance(error, ValueError):
        return str(error) or kind, Status.USAGE
    if isinstance(error, MemoryError):
        return "not enough memory", Status.FAILED
    if not isinstance(error, OSError):
        return f"internal error: {kind}: {error}; DGEN_DEBUG=1 tells where", Status.FAILED
    try:
        sys.stdout.flush()
    except OSError as lost:
        abandon_output()
        return f"stdout: {lost.strerror}", Status.FAILED
    if error.strerror is None:
        return str(error) or kind, Status.FAILED
    name = error.filename
    named = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else "input or output"
    return f"{named}: {error.strerror}", Status.FAILED


def _run_command(arguments: Sequence[str]) -> int:
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter("dgen: %(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    # The fields of a new job may stand anywhere.
    if options.command is new.new and all("=" in word and word[0] != "-" for word in rest):
        options.settings += rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if options.verbose:
        logging.getLogger("dgen_mpi").setLevel(logging.INFO)
    status: int | None = options.command(options)
    return Status.DONE if status is None else status


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

    def command(name: str, function: Callable[[argparse.Namespace], int | None]) -> Add:
        text = function.__doc__
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(command=function)
        made.add_argument("--json", action="store_true", help="print JSON")
        made.add_argument("-v", "--verbose", action="store_true", help="log what is done")
        return made.add_argument

    add = command("new", new.new)
    add("file", type=Path, help="the file to write")
    add("--force", action="store_true", help="replace an existing file")
    add(
        "settings", nargs="*", metavar="FIELD=VALUE", help="fields, such as size=1GiB ranks=[1,2,4]"
    )

    add = command("check", campaigns.check)
    _add_file(add)

    add = command("render", campaigns.render)
    _add_file(add)
    add("--scheduler", choices=SCHEDULERS, default="slurm")
    add("--single", metavar="FILE", help="one script for all cases; '-' for stdout")

    add = command("run", campaigns.run)
    _add_file(add)
    add("--dry-run", action="store_true", help="show what would be run, and how long")
    add("--rate", help="bytes per second to estimate times with, such as 1.5GiB")
    add("--measure", action="store_true", help="measure that rate with a file of 256 MiB")
    add("--stop-at-failure", action="store_true", help="leave the rest alone then")

    add = command("submit", campaigns.submit)
    _add_file(add)
    add("--executor", default="slurm", help="slurm, pbs, lsf, flux or local")
    add("--wait", action="store_true", help="wait until all jobs have ended")

    add = command("status", campaigns.status)
    add("folder", type=Path)
    add("--wait", action="store_true", help="wait until all jobs have ended")

    add = command("cancel", campaigns.cancel)
    add("folder", type=Path)
    add("cases", nargs="*", help="only these")

    add = command("report", results.report)
    add("paths", nargs="+", help="folders of campaigns, or reports")
    add("--csv", metavar="FILE", help="write a line for each operation; '-' for stdout")
    add("--compare", metavar="FOLDER", help="an earlier campaign to compare with")
    add("--plot", metavar="FILE", help="draw the bandwidth, PNG or SVG")
    add("-x", default="ranks", help="what it is drawn against: ranks, transfer_size, ...")
    add("--series", help="a line for each value of this field")
    add(
        "--plot-ratios",
        metavar="FILE",
        help="draw requested against measured ratios (dgen analyze)",
    )
    add(
        "--map",
        metavar="FILE",
        help="draw where which generation or damage is, of one report of verify, PNG or SVG",
    )

    add = command("analyze", files.analyze)
    add("paths", nargs="+", metavar="PATH", help="files, or folders of campaigns")
    add("--sample", help="read only so much, such as 1GiB; with --profile-out see there")
    add("--dedup-units", default="4KiB,64KiB,1MiB", help="fixed blocks")
    add("--chunk-units", default="8KiB,64KiB", help="average chunks by content")
    add("--compress-units", default="4KiB,64KiB,1MiB", help="units of compression")
    add("--codecs", default="lz4,zstd,zlib")
    add("--threads", type=int, help="as many as there are processors")
    add("--plot", metavar="FILE", help="draw the ratios, PNG or SVG")
    add(
        "--profile-out",
        metavar="FILE",
        help="measure what files, folders and block devices are composed of, and write a profile "
        "that makes data like it; --sample is then the part of the contents that is compressed, "
        "such as 1%%, and the first of --codecs compresses",
    )
    add("--unit", help="the block of the profile: 4KiB if not given")
    add("--earlier", metavar="PATH", help="an earlier snapshot, for the rate of change")
    add("--force", action="store_true", help="replace a profile that was written here")

    add = command("profiles", files.profiles)
    add("name", nargs="?", help="the one to print")

    add = command("verify", files.verify)
    add("file", type=Path)
    add("--threads", type=int, help="as many as there are processors")

    add = command("schema", campaigns.schema)
    add("kind", choices=["job", "campaign"], nargs="?", default="campaign")
    return parser


def _add_file(add: Add) -> None:
    add("file", type=Path, help="a job or campaign file")
    add("-d", "--folder", type=Path, help="where results go: ./NAME by default")
