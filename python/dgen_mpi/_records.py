# SPDX-License-Identifier: MIT OR Apache-2.0
"""Files that runs and campaigns leave behind, read by people who may have changed them.

Whatever is read here is what it should be, or is told in one line.
"""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from dgen_mpi._files import open_data, read_text

INDEX_FORMAT = "dgen-campaign/1"
REPORT_FORMAT = "dgen-report/1"
ANALYSIS_FORMAT = "dgen-analysis/1"

BYTES_MAX = 256 << 20
"""The longest of these files: an index of 10,000 cases has a few million bytes."""

DEPTH_MAX = 50
"""How deep lists and mappings may lie in each other."""


class ReportError(ValueError):
    """A report, or the folder of a campaign, that cannot be used; the message is one line."""


class RecordError(ReportError):
    """A file that is not what it should be; the message is one line."""


def _text(path: Path, most: int = BYTES_MAX) -> str:
    """Return the text of a file; raises `RecordError` for what `read_text` refuses."""
    try:
        return read_text(path, most)
    except OSError as error:
        raise RecordError(f"{path}: not readable: {error.strerror}") from error
    except ValueError as error:
        raise RecordError(f"{path}: not readable: {error}") from error


def read_tail(path: Path, most: int) -> str:
    """Return the end of a text, as far as it can be read; nothing for what cannot."""
    try:
        with open_data(path) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - most))
            return file.read(most).decode("utf-8", "replace")
    except OSError:
        return ""


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Return a JSON object that is called `what`, no deeper than `DEPTH_MAX`, of finite numbers.

    Raises `RecordError` for anything else.
    """
    text = _text(path)
    try:
        content = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise RecordError(f"{path}: not readable: nested too deep") from None
    except ValueError as error:
        raise RecordError(f"{path}: not readable: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise RecordError(f"{path}: not {what}")
    level: list[Any] = [content]
    for _ in range(DEPTH_MAX):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    if level:
        raise RecordError(f"{path}: not readable: nested too deep")
    return content


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large")
    return number


Count = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Rate = Annotated[float, Field(ge=0, le=2.0**63 - 1024)]
Ratio = Annotated[float, Field(ge=0, le=1e18)]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    @classmethod
    def fields_of(cls, content: dict[str, Any] | None) -> dict[str, Any]:
        """Return these fields of what was read: as they stand there, or else by default."""
        fields = cls.model_fields.items()
        return {name: (content or {}).get(name, field.default) for name, field in fields}


class _Operation(_Record):
    operation: str
    iteration: Count = 0
    bytes: Annotated[int, Field(ge=0, le=2**63 - 1)]
    seconds: Rate
    bytes_per_second: Rate
    generate_seconds: Rate = 0.0
    transfer_seconds: Rate = 0.0
    sync_seconds: Rate = 0.0
    transfer_size: Count = 0
    collective: bool = False


class _Launch(_Record):
    ranks: Count = 0
    nodes: Count = 0


class _Specification(_Record):
    size: Count = 0
    # Where there are classes, they stand for a ratio.
    dedup_ratio: Ratio | None = None
    compress_ratio: Ratio | None = None


_Text = str | None
Natural = Annotated[int, Field(ge=0, le=2**63 - 1)]


class _Stretch(_Record):
    offset: Natural
    bytes: Natural
    unchanged: Natural | None = None
    generations: dict[Annotated[str, Field(pattern=r"\A[0-9]{1,10}\z")], Natural] | None = None
    earlier: Natural | None = None
    damage: dict[Annotated[str, Field(pattern=r"\A[a-z_]{1,20}\z")], Natural] | None = None


class _Map(_Record):
    stretch_bytes: Natural
    stretches: Annotated[list[_Stretch], Field(max_length=1024)]


class _Report(_Record):
    format: _Text = None
    status: _Text = None
    exit_status: Annotated[int, Field(ge=0, le=255)] | None = None
    error: _Text = None
    kernel: _Text = None
    file_system: _Text = None
    path: _Text = None
    started: _Text = None
    mpi: _Launch | None = None
    spec: _Specification | None = None
    operations: list[_Operation] = []
    map: _Map | None = None


class _Case(_Record):
    name: Annotated[str, Field(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,99}\z")]
    values: dict[str, Any]
    remove_data: bool
    steps: Annotated[list[dict[str, Any]], Field(min_length=1)]


def _differ(cases: list[_Case]) -> list[_Case]:
    if len({case.name for case in cases}) != len(cases):
        raise ValueError("two cases have one name")
    return cases


class _Index(_Record):
    format: str
    name: Annotated[str, Field(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,99}\z")]
    created: _Text = None
    cases: Annotated[list[_Case], AfterValidator(_differ)]


class _Submission(_Record):
    executor: Annotated[str, Field(pattern=r"\A[A-Za-z0-9_.-]{1,50}\z")]
    # It becomes an argument of commands that cancel jobs.
    native_id: Annotated[str, Field(pattern=r"\A\w[\w.:\[\]-]{0,199}\z")]
    submitted: _Text = None
    ended: _Text = None
    message: _Text = None
    host: _Text = None
    boot: _Text = None
    processes: _Text = None
    start_ticks: int | None = None
    secret: _Text = None
    lock: _Text = None


class _Blocks(_Record):
    kind: str
    unit: Annotated[int, Field(ge=1, le=2**63 - 1)]
    blocks: Count
    ratio: Ratio


class _Compression(_Record):
    codec: str
    unit: Annotated[int, Field(ge=1, le=2**63 - 1)]
    ratio: Ratio


class _Requested(_Record):
    dedup_ratio: Ratio | None = None
    compress_ratio: Ratio | None = None
    dedup_unit: Count


class _Analysis(_Record):
    format: str
    path: str
    file_bytes: Count
    sampled_bytes: Count
    dedup: list[_Blocks]
    compression: list[_Compression]
    spec: _Requested | None


def _checked(path: Path, content: dict[str, Any], kind: type[_Record]) -> dict[str, Any]:
    try:
        kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])[:200]
        message = first["msg"].removeprefix("Value error, ")
        raise RecordError(f"{path}: {field}: {message}") from error
    return content


def report(path: Path) -> dict[str, Any]:
    """Return a report of a run; raises `RecordError`."""
    content = _checked(path, read_json(path, f"a report ({REPORT_FORMAT})"), _Report)
    status = content.get("exit_status")
    accepted = {0: (None, "ok"), 1: ("mismatch",)}
    if status in accepted and content.get("status") not in accepted[status]:
        raise RecordError(f"{path}: status: is not that of exit_status {status}")
    return content


def operations(path: Path) -> list[dict[str, Any]]:
    """Return the fields of each operation of a report and of its run; raises `RecordError`."""
    run = report(path)
    if run.get("format") != REPORT_FORMAT:
        raise RecordError(f"{path}: not a report ({REPORT_FORMAT})")
    texts = ("status", "kernel", "file_system", "path", "started")
    whole = {name: run.get(name) or "" for name in texts}
    whole |= _Launch.fields_of(run.get("mpi")) | _Specification.fields_of(run.get("spec"))
    return [whole | _Operation.fields_of(found) for found in run.get("operations", [])]


def index(path: Path) -> dict[str, Any]:
    """Return the index of a campaign; raises `RecordError`."""
    content = read_json(path, "the index of a campaign")
    if content.get("format") != INDEX_FORMAT:
        raise RecordError(f"{path}: format: only {INDEX_FORMAT} is known here")
    return _checked(path, content, _Index)


def submission(path: Path) -> dict[str, Any]:
    """Return how a case was given to a batch system; raises `RecordError`."""
    return _checked(path, read_json(path, "the submission of a case"), _Submission)


def analysis(path: Path) -> dict[str, Any]:
    """Return what was measured of a file; raises `RecordError`."""
    content = read_json(path, f"an analysis ({ANALYSIS_FORMAT})")
    if content.get("format") != ANALYSIS_FORMAT:
        raise RecordError(f"{path}: not an analysis ({ANALYSIS_FORMAT})")
    return _checked(path, content, _Analysis)


def exit_status(path: Path) -> int | None:
    """Return the status in a file; None where there is none."""
    try:
        found = re.fullmatch(r"([0-9]{1,3})\n?", _text(path, 8))
    except RecordError:
        return None
    return int(found[1]) if found else None
