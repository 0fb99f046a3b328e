# SPDX-License-Identifier: MIT OR Apache-2.0
"""What commands print and write, and the status that they end with."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from dgen_mpi._text import plain
from dgen_mpi.jobs import JobError
from dgen_mpi.jobs.places import is_same_file


class Status(IntEnum):
    """Exit statuses, as those of `dgen-mpi`."""

    DONE = 0
    DIFFERS = 1
    USAGE = 2
    FAILED = 3
    INTERRUPTED = 5


def abandon_output() -> None:
    """Have Python not try again, at its end, to write what cannot be written."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def complain(message: str, status: Status) -> Status:
    """Say on stderr what went wrong, and return the exit status."""
    with contextlib.suppress(OSError, ValueError):
        say(f"dgen: error: {' '.join(message.split())}", sys.stderr)
    return status


def say(text: str, file: TextIO | None = None) -> None:
    """Print a line for people: no text of a user or of a file tells a terminal what to do."""
    print(plain(text), file=file or sys.stdout, flush=True)


class LogFormatter(logging.Formatter):
    """Log lines as `say` prints them."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return plain(super().format(record))


def print_json(content: Any) -> None:
    """Print a value for programs."""
    json.dump(content, sys.stdout, indent=2, default=str)
    print()


def new_console() -> Console:
    """Return where tables are printed."""
    # A table in a pipe is as wide as it is.
    width = None if sys.stdout.isatty() else 200
    return Console(width=width, markup=False, emoji=False, highlight=False)


_MARKS = {
    "single": b" of dgen-mpi; `dgen report ",
    "profile_out": b"# A profile, written by dgen analyze",
    "csv": b"campaign,case,step,operation,",
    **dict.fromkeys(("plot", "plot_ratios", "map"), b"atplotlib"),
}
"""What files have near their beginning that commands write, by the option that names them."""


def require_output(field: str, output: str, inputs: Sequence[tuple[str | Path, str]]) -> None:
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
    if head.strip() and _MARKS[field] not in head:
        raise JobError(f"{field}: '{output}' is there, and not of this command; give another file")
