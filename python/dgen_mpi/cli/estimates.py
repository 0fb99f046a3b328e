# SPDX-License-Identifier: MIT OR Apache-2.0
"""How long a campaign will take: the rate to expect, as given, as seen, or as measured."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

from dgen_mpi import report
from dgen_mpi.jobs import Campaign, Case, Job, JobError, logs
from dgen_mpi.jobs.local import started
from dgen_mpi.jobs.options import ROWS, size_in


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def expected_rate(
    options: argparse.Namespace, campaign: Campaign, place: Path
) -> tuple[float | None, str]:
    """Return bytes per second to expect, and where that comes from."""
    if options.rate:
        return float(size_in(options.rate, "rate")), "as given"
    if options.measure:
        return _measured_rate(campaign.cases[0]), "measured with a file of 256 MiB"
    if (place / "index.json").exists():
        found = report.load(place)
        total = sum(result.seconds for result in found)
        moved = sum(result.bytes for result in found)
        if total > 0 and moved > 0:
            return moved / total, "as in the results that are there"
    return None, ""


def _measured_rate(case: Case) -> float:
    """Return bytes per second of a small job, launched as a case is, beside its file."""
    first = case.steps[0]
    work = Path(first.working_directory or ".").absolute()
    target = Path(work / (first.output or "data"))
    if first.device or (target.exists() and not target.is_file()):
        raise JobError(f"measure: {target} is no file, beside which one could be; give --rate")
    folder = target.parent
    settings = {
        key: value
        for key, value in first.settings().items()
        if key not in ("name", "operation", "report", "space_check", "quiet", "verbose", "resume")
        and (ROWS[key]["topic"] in ("Launch", "Batch") or "generate" in ROWS[key]["commands"])
    }
    settings.setdefault("program", os.environ.get("DGEN_MPI_PROGRAM", "dgen-mpi"))
    # Nobody else has a file in there.
    with tempfile.TemporaryDirectory(prefix=".dgen-measure-", dir=folder) as place:
        settings |= {"size": "256MiB", "report": "-", "progress": "none"}
        settings["output"] = str(Path(place) / "data")
        job = Job.from_mapping(settings, "measure")
        with started(
            ["bash", "-c", job.command()],
            "measure",
            stdout=subprocess.PIPE,
            cwd=work,
            env={**os.environ, **(first.environment or {})},
        ) as process:
            output, errors = process.communicate()
    try:
        operation = json.loads(output)["operations"][0]
        return float(operation["bytes_per_second"])
    except (ValueError, LookupError) as error:
        reason = logs.telling(errors) or "no report"
        raise JobError(f"measure: {reason}") from error
