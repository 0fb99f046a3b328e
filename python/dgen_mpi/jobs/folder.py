# SPDX-License-Identifier: MIT OR Apache-2.0
"""The folder of a campaign: scripts, logs, reports and an index, so that it can go on later."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import itertools
import json
import logging
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from dgen_mpi import _files as files
from dgen_mpi import _records
from dgen_mpi._records import INDEX_FORMAT, RecordError
from dgen_mpi.jobs import background, places, shell
from dgen_mpi.jobs.campaign import Campaign, Case, digest_of
from dgen_mpi.jobs.files import JobError
from dgen_mpi.jobs.model import Job
from dgen_mpi.jobs.scripts import script

LOCK = ".lock"
"""The file that whoever runs a campaign has locked."""

LOGGER = logging.getLogger("dgen_mpi.jobs")

STAMP = "jobs"
"""The file in the folder of a case that says which jobs its results are of."""

_OWN = re.compile(
    r"exit_status|submission\.json|log\.txt|jobs|(case|slurm|pbs|lsf|flux)\.sh"
    r"|.*\.report\.json|.*\.new|.*\.record|analysis.*\.json|.*~"
)
"""Names of files in the folders of cases."""


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
    """The report (``dgen-report/1``); None where there is none yet, or none that can be used."""
    problem: str = ""
    """Why one that is there cannot be used."""

    @property
    def is_done(self) -> bool:
        """Whether the step ended well."""
        return self.report is not None and self.report.get("exit_status") == 0


class CampaignFolder:
    """A campaign with a folder of its own; its jobs have absolute paths."""

    def __init__(self, path: Path, campaign: Campaign) -> None:
        self.path = path
        self.campaign = campaign

    @classmethod
    def create(
        cls, campaign: Campaign, path: str | Path, *, program: str | None = None
    ) -> CampaignFolder:
        """Make the folder of a campaign, or go on with the one that is there.

        Results are neither changed nor removed. Those of cases whose jobs have changed are kept
        aside once the case is run again; until then the case counts as not started. Jobs that name
        no program have `program`; ``DGEN_MPI_PROGRAM`` if it is not given, else `dgen-mpi`.

        Raises `JobError` for a folder of something else, for one that somebody runs, and where jobs
        have changed that a batch system has; `OSError` where it cannot be written: the next call
        finishes what this one began.
        """
        path = Path(path).absolute()
        # Before it is made: scripts must be able to name it.
        shell.word(str(path))
        program = program or os.environ.get("DGEN_MPI_PROGRAM")
        cases = tuple(_placed(case, program) for case in campaign.cases)
        folder = cls(path, dataclasses.replace(campaign, cases=cases))
        folder._refuse_own_files()
        folder._require_own()
        path.mkdir(parents=True, exist_ok=True)
        with folder.locked():
            folder._require_own()
            folder._write()
        return folder

    def _refuse_own_files(self) -> None:
        """Refuse outputs that are files which this folder needs, or one file after all."""
        own = os.path.realpath(self.path)
        cases = {case.name for case in self.campaign.cases}
        top = {".", LOCK, self.index.name, "campaign.yaml", *cases}
        for case in self.campaign.cases:
            for output in filter(None, (job.output for job in case.steps)):
                path = os.path.relpath(os.path.realpath(output), own)
                folder, name = os.path.split(path)
                if path in top or (folder in cases and _OWN.fullmatch(name)):
                    raise JobError(
                        f"{case.name}: output: '{output}' is a file of the campaign's folder; "
                        "give another file"
                    )
        places.refuse_clashes(
            ((case.name, case.steps) for case in self.campaign.cases), self.campaign.name
        )

    def _require_own(self) -> None:
        """Refuse a folder of something else; one that was only begun is a campaign's."""
        if not self.path.exists() or self.index.exists():
            return
        for found in self.path.iterdir():
            is_begun = found.name.startswith(f".{self.index.name}.")
            is_lock = found.name == LOCK and found.lstat().st_size == 0
            if not (is_begun or is_lock) or found.is_symlink() or not found.is_file():
                raise JobError(f"{self.path}: not empty, and not the folder of a campaign")

    def _write(self) -> None:
        """Write scripts and the index, whatever of them is there."""
        old = self._read_index() if self.index.exists() else {}
        before = {case["name"]: case for case in old.get("cases", [])}
        entries = {case.name: _entry(case) for case in self.campaign.cases}
        for name, entry in before.items():
            self._require_free(name, entry, entries.get(name))
        index = {
            "format": INDEX_FORMAT,
            "name": self.campaign.name,
            "created": old.get("created") or datetime.now(UTC).isoformat(),
        }
        if not old:
            # What follows may not come to its end; what is there is then known to be ours.
            write_json(self.index, index | {"cases": []})
        for name, entry in before.items():
            self._stamp(self.path / name, _stamp_of(entry))
        for case in self.campaign.cases:
            place = self.place(case)
            place.mkdir(exist_ok=True)
            self._stamp(place, "unknown unknown")
            self._stamp(place, _stamp_of(entries[case.name]), needs_results=False)
            if not self._submitted(place):
                text = script([case], self.path, name=self.title(case))
                keep_and_replace(self.script(case), text)
        keep_and_replace(self.path / "campaign.yaml", self.campaign.text)
        write_json(self.index, index | {"cases": list(entries.values())})

    def _require_free(self, name: str, before: dict[str, Any], now: dict[str, Any] | None) -> None:
        """Refuse to change a case that a batch system has."""
        keys = ("steps", "remove_data")
        same = now is not None and all(before.get(key) == now[key] for key in keys)
        submission = self._submitted(self.path / name)
        if submission and not same:
            job = f"{submission.get('executor')} job {submission.get('native_id')}"
            raise JobError(
                f"{self.path}: the jobs of {name} have changed, and {job} has it; dgen status asks "
                "how it is, dgen cancel takes it back"
            )

    def _submitted(self, place: Path) -> dict[str, Any] | None:
        """Return how a case was given to a batch system that has not yet ended it."""
        submission = _submission(place)
        if submission is None or submission.get("ended") or (place / "exit_status").exists():
            return None
        is_local = submission.get("executor") == background.LOCAL
        if is_local and background.is_running(submission) is False:
            return None
        return submission

    @staticmethod
    def _stamp(place: Path, stamp: str, *, needs_results: bool = True) -> None:
        """Note which jobs the results of a case are of, where there are any and nothing says it."""
        if not (place / STAMP).exists() and (
            not needs_results or any(found.exists() for found in _results_in(place))
        ):
            files.replace(place / STAMP, stamp + "\n")

    def is_current(self, case: Case) -> bool:
        """Return whether results that are there are of the jobs that the case has now."""
        try:
            jobs, origin = files.read_text(self.place(case) / STAMP, 100).split()
        except (OSError, ValueError):
            return True
        # The same rule as in the scripts: paths of one of them may not be absolute.
        is_relative = jobs == origin or case.jobs_digest == case.origin_digest
        return jobs == case.jobs_digest or (origin == case.origin_digest and is_relative)

    def take(self, case: Case, *, keeps_log: bool = False) -> None:
        """Prepare a case to be run: results of other jobs are kept aside.

        The caller has the lock. With `keeps_log` a log that is there is kept aside too.
        """
        place = self.place(case)
        if not self.is_current(case):
            LOGGER.info("%s: results of other jobs are kept as NAME.~NUMBER~", case.name)
            for found in _results_in(place):
                set_aside(found)
            (place / STAMP).unlink(missing_ok=True)
        if keeps_log and self.log(case).exists() and self.log(case).stat().st_size:
            set_aside(self.log(case))
        self._stamp(place, _stamp_of(_entry(case)), needs_results=False)

    def require_unchanged(self) -> None:
        """Refuse to go on where somebody has changed the campaign since this object was made."""
        entries = {entry["name"]: entry["steps"] for entry in self._read_index()["cases"]}
        for case in self.campaign.cases:
            if entries.get(case.name) != case.step_fields:
                raise JobError(f"{self.path}: somebody has changed {case.name} meanwhile")

    @classmethod
    def open(cls, path: str | Path) -> CampaignFolder:
        """Return the campaign of a folder that was made before; raises `JobError` for any other."""
        folder = cls(Path(path).absolute(), Campaign("", ()))
        index = folder._read_index()
        cases = tuple(
            Case(
                entry["name"],
                entry["values"],
                tuple(Job.from_mapping(step, str(folder.index)) for step in entry["steps"]),
                entry["remove_data"],
                entry.get("jobs", ""),
            )
            for entry in index["cases"]
        )
        return cls(folder.path, Campaign(index["name"], cases))

    def _read_index(self) -> dict[str, Any]:
        try:
            return _records.index(self.index)
        except RecordError as error:
            raise JobError(f"not the folder of a campaign: {error}") from error

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
        """Return what the reports of a case say; nothing, where they are of other jobs."""
        found = []
        is_current = self.is_current(case)
        for name in case.step_names:
            path = self.place(case) / f"{name}.report.json"
            try:
                report = _records.report(path)
                found.append(StepResult(name, path, report if is_current else None))
            except RecordError as error:
                problem = str(error) if is_current and os.path.lexists(path) else ""
                found.append(StepResult(name, path, None, problem))
        return found

    def exit_status(self, case: Case) -> int | None:
        """Return how a case ended; None for one that has not."""
        path = self.place(case) / "exit_status"
        return _records.exit_status(path) if self.is_current(case) else None

    def submission(self, case: Case) -> dict[str, Any] | None:
        """Return how a case was given to a batch system; None for one that was not.

        Raises `JobError` for a file that does not tell: it may run.
        """
        return _submission(self.place(case)) if self.is_current(case) else None

    def state(self, case: Case) -> State:
        """Return how far a case is, by its files, and by processes of this machine."""
        submission = self.submission(case) or {}
        is_local = submission.get("executor") == background.LOCAL
        # Before the files are read: what has ended has written them.
        is_running = is_local and background.is_running(submission)
        results = self.results(case)
        if all(step.is_done for step in results):
            return State.DONE
        ended = submission.get("ended")
        if ended == State.CANCELLED:
            return State.CANCELLED
        status = self.exit_status(case)
        if status is None and submission:
            if ended in list(State):
                return State(ended)
            if is_running or not is_local:
                return State.RUNNING if is_running else State.QUEUED
            # Where it cannot be seen from here, nothing is started in its place.
            return State.QUEUED if is_running is None else State.INTERRUPTED
        # What the program said goes before what the launcher made of it. A report is there from
        # before the first byte on, and says that it was interrupted until the end.
        said = next((step.report for step in results if step.report and not step.is_done), None)
        if any(step.problem for step in results):
            return State.FAILED
        if said is not None:
            return _STATES.get(said.get("exit_status"), State.FAILED)
        if status is None:
            return State.PENDING if not any(step.report for step in results) else State.INTERRUPTED
        return _STATES.get(status, State.FAILED) if status > 1 else State.FAILED

    def is_running(self) -> bool:
        """Return whether somebody runs this campaign on this machine; writes nothing."""
        return background.is_locked(self.path / LOCK)

    def unfinished(self) -> list[Case]:
        """Return the cases that have not ended well."""
        return [case for case in self.campaign.cases if self.state(case) is not State.DONE]

    @contextlib.contextmanager
    def locked(self, wait_seconds: float = 15) -> Iterator[int]:
        """Keep others from running this campaign at the same time.

        Yields a file descriptor that holds the lock; so does a process that inherits it. Raises
        `JobError` where somebody runs it, and does not end within `wait_seconds`.
        """
        with os.fdopen(files.open_own(self.path / LOCK), "ab") as file:
            end = time.monotonic() + wait_seconds
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    if time.monotonic() <= end:
                        time.sleep(0.2)
                        continue
                    raise JobError(f"{self.path}: this campaign is being run already") from error
                except OSError as error:
                    # A file system without locks.
                    LOGGER.warning("%s: no lock: %s", self.path, error)
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
    return dataclasses.replace(case, steps=tuple(steps), origin=case.origin_digest)


def _entry(case: Case) -> dict[str, Any]:
    return {
        "name": case.name,
        "values": case.values,
        "remove_data": case.remove_data,
        "steps": case.step_fields,
        "jobs": case.origin_digest,
    }


def _stamp_of(entry: dict[str, Any]) -> str:
    digest = digest_of(entry["steps"])
    return f"{digest} {entry.get('jobs') or digest}"


def _results_in(place: Path) -> list[Path]:
    """Return the files in the folder of a case that say what its jobs did."""
    found = [place / name for name in ("exit_status", "submission.json", "log.txt")]
    for kind in ("report.json", "new", "record"):
        found += place.glob(f"*.{kind}")
    return found


def _submission(place: Path) -> dict[str, Any] | None:
    path = place / "submission.json"
    if not os.path.lexists(path):
        return None
    try:
        return _records.submission(path)
    except RecordError as error:
        raise JobError(f"{error}; remove it if no job of this case runs") from error


def set_aside(path: Path) -> None:
    """Keep a file, if there is one, under a name with a number: ``log.txt.~1~``."""
    if os.path.lexists(path):
        others = (path.with_name(f"{path.name}.~{number}~") for number in itertools.count(1))
        path.rename(next(other for other in others if not os.path.lexists(other)))


def keep_and_replace(path: Path, text: str) -> None:
    """Write a file that people may have changed; what it was before is kept aside."""
    with contextlib.suppress(OSError, ValueError):
        if files.read_text(path, len(text.encode())) == text:
            return
    if path.is_symlink() or not path.is_file() or path.stat().st_size:
        set_aside(path)
    files.replace(path, text)


def write_json(path: Path, content: Any) -> None:
    """Write JSON to a file, whole or not at all."""
    files.replace(path, json.dumps(content, indent=2, default=str) + "\n", is_stored=True)
