# SPDX-License-Identifier: MIT OR Apache-2.0
"""What went wrong, as programs and launchers have printed it."""

from __future__ import annotations

import re
from pathlib import Path

from dgen_mpi import _records

TAIL_BYTES = 1 << 16
"""How much of the end of a log is looked at."""

LINE_MAX = 300
"""The most characters of what is shown of it."""

STEP = "dgen-step "
"""What stands in a log before a step, and before what a run prints."""

# What our own programs begin their last words with.
_ERROR = re.compile(r"(?:dgen-mpi|dgen): error: (.*)")
_RULE = re.compile(r"^\s*[-=*]{10,}\s*$", re.MULTILINE)

# What Open MPI says after the reason, of whatever reason.
_COMMON = re.compile(r"Primary job|mpirun detected|MPI_ABORT was|\[|The user-provided")

_TELLING = re.compile(
    r"error|fatal|fail|not found|no such|cannot|unable|denied|refused|killed|invalid", re.IGNORECASE
)


def reason(path: Path) -> str:
    """Return the most telling line at the end of a log, and the log; nothing where none is."""
    line = telling(_records.read_tail(path, TAIL_BYTES))
    return f"{line}; see {path}" if line else ""


def telling(text: str) -> str:
    """Return the line that tells best what went wrong: ours, a launcher's, or else the last."""
    lines = text.splitlines()
    begins = [number for number, line in enumerate(lines) if line.startswith(STEP)]
    lines = [line for line in lines[begins[-1] + 1 if begins else 0 :] if line.strip()]
    for line in reversed(lines):
        if error := error_in(line):
            return _cut(error)
    last = text[text.rfind(STEP) :] if begins else text
    framed = [_cut(part.strip().split("\n\n")[0]) for part in _RULE.split(last)[1:-1]]
    if framed := list(filter(None, framed)):
        return next((part for part in reversed(framed) if not _COMMON.match(part)), framed[-1])
    lines = [line for line in reversed(lines) if not _RULE.match(line)]
    return _cut(next(filter(_TELLING.search, lines), lines[0] if lines else ""))


def error_in(line: str) -> str:
    """Return what a line of our own programs says is wrong; nothing for any other line."""
    found = _ERROR.match(line)
    return found[1].strip() if found else ""


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LINE_MAX else f"{line[: LINE_MAX - 3]}..."
