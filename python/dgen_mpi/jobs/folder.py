# SPDX-License-Identifier: MIT OR Apache-2.0
"""The folder of a campaign: scripts, logs, reports and an index, so that it can go on later."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from dgen_mpi._files import shard_path
from dgen_mpi.jobs import background
from dgen_mpi.jobs.campaign import Campaign, Case
from dgen_mpi.jobs.files import JobError
from dgen_mpi.jobs.model import Job
from dgen_mpi.jobs.scripts import script

INDEX_FORMAT = "dgen-campaign/1"


class State(StrEnum):
    """How far a case is."""

    PENDING = "pending"
    """It has not been started."""
    QUEUED = "queued"
    """The batch system has it."""
    RUNNING = "running"
    DONE = "done"
    """All its steps ended well."""
    MISMATCH = "mismatch"
    """A file differs from its specification."""
    INTERRUPTED = "interrupted"
    """It was stopped, or its time was over."""
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing changes any more by itself."""
        return self not in (State.PENDING, State.QUEUED, State.RUNNING)


_STATES: dict[Any, State] = {1: State.MISMATCH, 5: State.INTERRUPTED}


@dataclass(frozen=True)
class StepResult:
    """What the report of a step says."""

    name: str
    path: Path
    report: dict[str, Any] | None
    """The report (``dgen-report/1``); None where there is none yet."""

    @property
    def is_done(self) -> bool:
        """Whether the step ended well."""
        return self.report is not None and self.report.get("exit_status") == 0


class CampaignFolder:
    """A campaign with a folder of its own.

    Parameters
    ----------
    path
        The folder.
    campaign
        What it holds; its jobs have absolute paths here.
    """

    def __init__(self, path: Path, campaign: Campaign) -> None:
        self.path = path
        self.campaign = campaign

    @classmethod
    def create(
        cls, campaign: Campaign, path: str | Path, *, program: str | None = None
    ) -> CampaignFolder:
        """Make the folder of a campaign, or go on with the one that is there.

        Results of cases whose jobs have not changed stay; those of others are removed.

        Parameters
        ----------
        campaign
            The campaign.
        path
            The folder; made if it is not there.
        program
            The program for jobs that name none; ``DGEN_MPI_PROGRAM`` if it is not given, else
            `dgen-mpi`.

        Raises
        ------
        JobError
            For a folder of something else.
        """
        path = Path(path).absolute()
        program = program or os.environ.get("DGEN_MPI_PROGRAM")
        placed = Campaign(
            campaign.name,
            tuple(_placed(case, program) for case in campaign.cases),
            campaign.text,
        )
        folder = cls(path, placed)
        old = folder._read_index() if folder.index.exists() else None
        if old is None and path.exists() and any(path.iterdir()):
            raise JobError(f"{path}: not empty, and not the folder of a campaign")
        before = {case["name"]: case["steps"] for case in (old or {}).get("cases", [])}
        path.mkdir(parents=True, exist_ok=True)
        entries = []
        for case in placed.cases:
            place = folder.place(case)
            place.mkdir(exist_ok=True)
            steps = [job.model_dump(mode="json", exclude_none=True) for job in case.steps]
            if before.get(case.name, steps) != steps:
                for step in folder.results(case):
                    step.path.unlink(missing_ok=True)
                for name in ("exit_status", "submission.json", "log.txt"):
                    (place / name).unlink(missing_ok=True)
            folder._forget_lost_data(case)
            folder.script(case).write_text(
                script([case], path, name=folder.title(case)), encoding="utf-8"
            )
            entries.append(
                {
                    "name": case.name,
                    "values": case.values,
                    "remove_data": case.remove_data,
                    "steps": steps,
                }
            )
        (path / "campaign.yaml").write_text(campaign.text, encoding="utf-8")
        write_json(
            folder.index,
            {
                "format": INDEX_FORMAT,
                "name": placed.name,
                "created": (old or {}).get("created") or datetime.now(UTC).isoformat(),
                "cases": entries,
            },
        )
        return folder

    @classmethod
    def open(cls, path: str | Path) -> CampaignFolder:
        """Return the campaign of a folder that was made before.

        Raises
        ------
        JobError
            For what is no folder of a campaign.
        """
        folder = cls(Path(path).absolute(), Campaign("", ()))
        index = folder._read_index()
        cases = tuple(
            Case(
                entry["name"],
                entry["values"],
                tuple(Job.from_mapping(step, str(folder.index)) for step in entry["steps"]),
                entry["remove_data"],
            )
            for entry in index["cases"]
        )
        return cls(folder.path, Campaign(index["name"], cases))

    def _forget_lost_data(self, case: Case) -> None:
        """Have files written again that are gone before all steps have ended well."""
        results = self.results(case)
        if all(step.is_done for step in results):
            return
        for step, job in zip(results, case.steps, strict=True):
            is_written = step.is_done and job.operation == "generate"
            if not is_written or job.output is None:
                continue
            output = Path(job.output)
            if job.layout == "per-rank":
                output = shard_path(output, 0)
            if not output.exists():
                step.path.unlink()

    def _read_index(self) -> dict[str, Any]:
        try:
            index = json.loads(self.index.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise JobError(f"{self.path}: not the folder of a campaign: {error}") from error
        if not isinstance(index, dict) or index.get("format") != INDEX_FORMAT:
            raise JobError(f"{self.index}: format: only {INDEX_FORMAT} is known here")
        return index

    @property
    def index(self) -> Path:
        """The file that lists the cases."""
        return self.path / "index.json"

    def place(self, case: Case) -> Path:
        """Return the folder of a case."""
        return self.path / case.name

    def title(self, case: Case) -> str:
        """Return what the job of a case is called outside of its campaign."""
        return f"{self.campaign.name}-{case.name}"

    def script(self, case: Case) -> Path:
        """Return the script that runs a case."""
        return self.place(case) / "case.sh"

    def log(self, case: Case) -> Path:
        """Return the file that gets what a case prints."""
        return self.place(case) / "log.txt"

    def results(self, case: Case) -> list[StepResult]:
        """Return what the reports of a case say."""
        found = []
        for name in case.step_names:
            path = self.place(case) / f"{name}.report.json"
            report = None
            with contextlib.suppress(OSError, ValueError):
                content = json.loads(path.read_text(encoding="utf-8"))
                report = content if isinstance(content, dict) else None
            found.append(StepResult(name, path, report))
        return found

    def exit_status(self, case: Case) -> int | None:
        """Return how a case ended; None for one that has not."""
        try:
            return int((self.place(case) / "exit_status").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def submission(self, case: Case) -> dict[str, Any] | None:
        """Return how a case was given to a batch system; None for one that was not."""
        try:
            content = json.loads((self.place(case) / "submission.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def state(self, case: Case) -> State:
        """Return how far a case is, by its files, and by processes of this machine."""
        submission = self.submission(case)
        is_local = submission is not None and submission.get("executor") == background.LOCAL
        # Before the files are read: what has ended has written them.
        is_running = is_local and submission is not None and background.is_running(submission)
        results = self.results(case)
        if all(step.is_done for step in results):
            return State.DONE
        ended = submission.get("ended") if submission is not None else None
        if ended == State.CANCELLED:
            return State.CANCELLED
        status = self.exit_status(case)
        if status is None and submission is not None:
            if ended in list(State):
                return State(ended)
            if is_running or not is_local:
                return State.RUNNING if is_running else State.QUEUED
            # Where it cannot be seen from here, nothing is started in its place.
            return State.QUEUED if is_running is None else State.INTERRUPTED
        # What the program said goes before what the launcher made of it. A report is there from
        # before the first byte on, and says that it was interrupted until the end.
        said = next((step.report for step in results if step.report and not step.is_done), None)
        if said is not None:
            return _STATES.get(said.get("exit_status"), State.FAILED)
        if status is None:
            return State.PENDING if not any(step.report for step in results) else State.INTERRUPTED
        return _STATES.get(status, State.FAILED) if status > 1 else State.FAILED

    def is_running(self) -> bool:
        """Return whether somebody runs this campaign on this machine."""
        try:
            with self.locked(wait_seconds=0):
                return False
        except JobError:
            return True

    def unfinished(self) -> list[Case]:
        """Return the cases that have not ended well."""
        return [case for case in self.campaign.cases if self.state(case) is not State.DONE]

    @contextlib.contextmanager
    def locked(self, wait_seconds: float = 15) -> Iterator[int]:
        """Keep others from running this campaign at the same time.

        Yields
        ------
        int
            A file descriptor that holds the lock. A process that inherits it holds the lock too.

        Raises
        ------
        JobError
            Where somebody does, and does not end within `wait_seconds`.
        """
        with (self.path / ".lock").open("w") as file:
            end = time.monotonic() + wait_seconds
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    if time.monotonic() > end:
                        raise JobError(
                            f"{self.path}: this campaign is being run already"
                        ) from error
                    time.sleep(0.2)
                    continue
                except OSError as error:
                    # A file system without locks.
                    logging.getLogger("dgen_mpi.jobs").warning("%s: no lock: %s", self.path, error)
                break
            yield file.fileno()


def _placed(case: Case, program: str | None) -> Case:
    """Return a case whose paths do not depend on where it is started from."""
    steps = []
    for job in case.steps:
        work = Path(job.working_directory or ".").absolute()
        given = job.settings() | {"working_directory": str(work)}
        if job.output is not None:
            given["output"] = str(work / job.output)
        if program is not None and job.program is None:
            given["program"] = program
        steps.append(Job.from_mapping(given, case.name))
    return Case(case.name, case.values, tuple(steps), case.remove_data)


def write_json(path: Path, content: Any) -> None:
    """Write JSON to a file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    text = json.dumps(content, indent=2, default=str)
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)
