# SPDX-License-Identifier: MIT OR Apache-2.0
"""Cases given to a batch system, by way of PSI/J."""

from __future__ import annotations

import contextlib
import datetime
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psij
from psij.executors.batch.batch_scheduler_executor import BatchSchedulerExecutorConfig

from dgen_mpi.jobs import background, shell
from dgen_mpi.jobs.campaign import Case
from dgen_mpi.jobs.files import JobError
from dgen_mpi.jobs.folder import CampaignFolder, State, write_json
from dgen_mpi.jobs.scripts import Resources

DEFAULT_SECONDS = 3600
"""The limit of jobs that name none."""

ANSWER_SECONDS = 30
"""How long a batch system may take to say how a job is."""

CANCEL_SECONDS = 90
"""How long it may take until a job that it cancels has gone."""

LOGGER = logging.getLogger("dgen_mpi.jobs")


class BatchSystem:
    """A batch system, or processes of this machine that are started in the background.

    Its name is ``"slurm"``, ``"pbs"``, ``"lsf"``, ``"flux"``, ``"local"``, or another one that
    PSI/J knows; it is asked how jobs are every `polling_seconds`. Raises `JobError` for a batch
    system that PSI/J does not know.
    """

    def __init__(self, name: str, polling_seconds: int = 5) -> None:
        self.name = name
        self._jobs: dict[str, psij.Job] = {}
        if name == background.LOCAL:
            # PSI/J loses such jobs when this process ends.
            return
        try:
            self._executor = psij.JobExecutor.get_instance(name)
        except ValueError as error:
            known = " ".join(sorted(psij.JobExecutor.get_executor_names()))
            raise JobError(f"executor: '{name}' is not accepted; give one of {known}") from error
        config = self._executor.config
        if isinstance(config, BatchSchedulerExecutorConfig):
            config.queue_polling_interval = polling_seconds
            config.initial_queue_polling_delay = min(2, polling_seconds)

    def submit(self, folder: CampaignFolder, cases: Sequence[Case]) -> dict[str, str]:
        """Give cases to the batch system; return its names of their jobs.

        Raises `JobError` for the first that is not taken; those before are in the batch system.
        """
        give = self._start if self.name == background.LOCAL else self._queue
        names = {}
        for case in cases:
            if folder.state(case) in (State.QUEUED, State.RUNNING):
                raise JobError(f"{case.name}: an earlier run of it goes on; dgen cancel ends it")
            # Logs are begun anew.
            folder.take(case, keeps_log=True)
            (folder.place(case) / "exit_status").unlink(missing_ok=True)
            names[case.name] = give(folder, case)
        return names

    def _queue(self, folder: CampaignFolder, case: Case) -> str:
        job = psij.Job(self._spec(folder, case))
        with _refusals(f"{case.name}: {self.name} does not take it"):
            self._executor.submit(job)
        name = str(job.native_id)
        self._jobs[name] = job
        LOGGER.info("%s: %s job %s", case.name, self.name, name)
        submitted = datetime.datetime.now(datetime.UTC).isoformat()
        _note(folder, case, {"executor": self.name, "native_id": name, "submitted": submitted})
        return name

    @staticmethod
    def _start(folder: CampaignFolder, case: Case) -> str:
        """Start a case in the background, and note it; one that cannot be noted is ended."""
        work = Path(case.steps[0].working_directory or folder.path)
        job = background.start(
            folder.script(case),
            log=folder.log(case),
            lock=folder.place(case) / ".lock",
            # What is not there is told by the script.
            folder=work if work.is_dir() else folder.path,
            environment=_environment(Resources.of([case])),
        )
        try:
            _note(folder, case, job)
        except BaseException:
            background.stop({case.name: job})
            raise
        LOGGER.info("%s: process %s", case.name, job["native_id"])
        return str(job["native_id"])

    def _spec(self, folder: CampaignFolder, case: Case) -> psij.JobSpec:
        wanted = Resources.of([case])
        seconds = wanted.seconds or DEFAULT_SECONDS
        attributes: dict[str, object] = {}
        if self.name == "slurm":
            # PSI/J gives jobs names of its own.
            attributes["slurm.job-name"] = folder.title(case)
        for job in case.steps:
            for line in job.directives or []:
                key, _, value = line.lstrip("-").partition("=")
                attributes[f"{self.name}.{key}"] = value
        directory = str(case.steps[0].working_directory or folder.path)
        if shell.word(directory) != directory:
            # PSI/J puts it between double quotes of a script. Ours goes where it belongs by itself.
            directory = "/"
        return psij.JobSpec(
            executable="/bin/bash",
            # PSI/J redirects to names without blanks and wildcards only.
            arguments=[
                *("-c", 'exec bash "$1" >> "$2" 2>&1', "dgen"),
                *(str(folder.script(case)), str(folder.log(case))),
            ],
            directory=directory,
            name=folder.title(case),
            environment=dict(_environment(wanted)),
            resources=psij.ResourceSpecV1(
                node_count=wanted.nodes or 1,
                processes_per_node=wanted.ranks_per_node or wanted.ranks,
            ),
            attributes=psij.JobAttributes(
                duration=datetime.timedelta(seconds=seconds),
                queue_name=wanted.partition,
                account=wanted.account,
                custom_attributes=attributes or None,
            ),
            # The script starts the ranks.
            launcher="single",
        )

    def states(self, folder: CampaignFolder, cases: Sequence[Case]) -> dict[str, State]:
        """Return how far cases are, by their files and by what the batch system says.

        Takes a few seconds where the batch system has to be asked. A case that the batch system has
        ended is noted as such in the folder.
        """
        found = {case.name: folder.state(case) for case in cases}
        if self.name == background.LOCAL:
            return found
        asked = []
        for case in cases:
            submission = self._submission(folder, case)
            if submission is not None and found[case.name] is State.QUEUED:
                asked.append((case, submission, self._attached(submission["native_id"])))
        deadline = time.monotonic() + ANSWER_SECONDS
        for case, submission, job in asked:
            while job.status.state == psij.JobState.NEW and time.monotonic() < deadline:
                time.sleep(0.1)
            state = self._state(folder, case, job.status)
            if state.is_final and folder.state(case) is State.QUEUED:
                note = {"ended": str(state), "message": job.status.message}
                # Whoever may only look sees the same.
                with contextlib.suppress(OSError):
                    _note(folder, case, submission | note)
            found[case.name] = state
        return found

    def _submission(self, folder: CampaignFolder, case: Case) -> dict[str, Any] | None:
        """Return how a case was given to this batch system."""
        submission = folder.submission(case)
        return submission if (submission or {}).get("executor") == self.name else None

    def _attached(self, native_id: str) -> psij.Job:
        if native_id not in self._jobs:
            job = psij.Job()
            self._executor.attach(job, native_id)
            self._jobs[native_id] = job
        return self._jobs[native_id]

    def _state(self, folder: CampaignFolder, case: Case, status: psij.JobStatus) -> State:
        if status.state == psij.JobState.ACTIVE:
            return State.RUNNING
        if not status.state.final:
            return State.QUEUED
        # What the case says of itself goes before what the batch system thinks of it; a file system
        # may show it a little later.
        for _ in range(20):
            said = folder.state(case)
            if said is not State.QUEUED or status.state != psij.JobState.COMPLETED:
                break
            time.sleep(0.1)
        if status.state == psij.JobState.CANCELED and said is not State.DONE:
            return State.CANCELLED
        return State.FAILED if said is State.QUEUED else said

    def wait(
        self, folder: CampaignFolder, cases: Sequence[Case], timeout_seconds: float | None = None
    ) -> dict[str, State]:
        """Wait until all of some cases have ended.

        Returns how each ended, or how far it is when the time is over.
        """
        end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            states = self.states(folder, cases)
            is_open = any(states[case.name] in (State.QUEUED, State.RUNNING) for case in cases)
            if not is_open or (end is not None and time.monotonic() > end):
                return states
            time.sleep(0.5)

    def cancel(self, folder: CampaignFolder, cases: Sequence[Case]) -> list[str]:
        """Cancel the jobs of cases that have not ended; return the names of these cases.

        Raises `JobError` for the first that the batch system does not cancel, and `TimeoutError`
        for the first that has not gone after a minute and a half.
        """
        cancelled = []
        jobs = [
            (case, submission)
            for case in cases
            if (submission := self._submission(folder, case)) is not None
            and not folder.state(case).is_final
        ]
        is_local = self.name == background.LOCAL
        if is_local:
            background.stop({case.name: submission for case, submission in jobs})
        else:
            for case, submission in jobs:
                with _refusals(f"{case.name}: {self.name} does not cancel it"):
                    self._executor.cancel(self._attached(submission["native_id"]))
        end = time.monotonic() + CANCEL_SECONDS
        for case, submission in jobs:
            if not is_local:
                left = datetime.timedelta(seconds=max(0.1, end - time.monotonic()))
                status = self._attached(submission["native_id"]).wait(left)
                if status is None or not status.final:
                    raise TimeoutError(
                        f"{case.name}: {self.name} was told to cancel it, and it is not gone yet; "
                        "dgen status tells when"
                    )
            # One that was quicker has ended by itself.
            if folder.state(case) is not State.DONE:
                note = {"ended": str(State.CANCELLED), "message": None}
                _note(folder, case, submission | note)
                cancelled.append(case.name)
        return cancelled


@contextlib.contextmanager
def _refusals(what: str) -> Iterator[None]:
    """Have the batch system's refusal told in one line."""
    try:
        yield
    except psij.SubmitException as error:
        raise JobError(f"{what}: {' '.join(str(error).split())}") from error


def _note(folder: CampaignFolder, case: Case, submission: dict[str, Any]) -> None:
    write_json(folder.place(case) / "submission.json", submission)


def _environment(wanted: Resources) -> dict[str, str]:
    if not wanted.seconds or not wanted.stop_before:
        return {}
    return {"dgen_stop_after": str(max(1, wanted.seconds - wanted.stop_before))}
