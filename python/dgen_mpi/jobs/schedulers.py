# SPDX-License-Identifier: MIT OR Apache-2.0
"""Cases given to a batch system, by way of PSI/J."""

from __future__ import annotations

import contextlib
import datetime
import logging
import time
from collections.abc import Sequence
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

    Parameters
    ----------
    name
        ``"slurm"``, ``"pbs"``, ``"lsf"``, ``"flux"``, ``"local"``, or another one that PSI/J knows.
    polling_seconds
        How often it is asked how jobs are.

    Raises
    ------
    JobError
        For a batch system that PSI/J does not know.
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
        """Give cases to the batch system.

        Returns
        -------
        dict
            The batch system's name of the job of each case.

        Raises
        ------
        JobError
            For the first that is not taken; those before are in the batch system.
        """
        names = {}
        for case in cases:
            if folder.state(case) in (State.QUEUED, State.RUNNING):
                raise JobError(f"{case.name}: an earlier run of it goes on; dgen cancel ends it")
            # Logs are begun anew.
            folder.take(case, keeps_log=True)
            if self.name == background.LOCAL:
                names[case.name] = self._start(folder, case)
                continue
            spec = self._spec(folder, case)
            job = psij.Job(spec)
            (folder.place(case) / "exit_status").unlink(missing_ok=True)
            try:
                self._executor.submit(job)
            except psij.SubmitException as error:
                reason = " ".join(str(error).split())
                raise JobError(f"{case.name}: {self.name} does not take it: {reason}") from error
            names[case.name] = str(job.native_id)
            self._jobs[names[case.name]] = job
            LOGGER.info("%s: %s job %s", case.name, self.name, job.native_id)
            write_json(
                folder.place(case) / "submission.json",
                {
                    "executor": self.name,
                    "native_id": str(job.native_id),
                    "submitted": datetime.datetime.now(datetime.UTC).isoformat(),
                },
            )
        return names

    @staticmethod
    def _start(folder: CampaignFolder, case: Case) -> str:
        """Start a case in the background, and note it; one that cannot be noted is ended."""
        place = folder.place(case)
        work = Path(case.steps[0].working_directory or folder.path)
        (place / "exit_status").unlink(missing_ok=True)
        job = background.start(
            folder.script(case),
            log=folder.log(case),
            lock=place / ".lock",
            # What is not there is told by the script.
            folder=work if work.is_dir() else folder.path,
            environment=_environment(Resources.of([case])),
        )
        try:
            write_json(place / "submission.json", job)
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
            submission = folder.submission(case)
            if (
                found[case.name] is State.QUEUED
                and submission is not None
                and submission.get("executor") == self.name
            ):
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
                    write_json(folder.place(case) / "submission.json", submission | note)
            found[case.name] = state
        return found

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

        Returns
        -------
        dict
            How each ended, or how far it is when the time is over.
        """
        end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            states = self.states(folder, cases)
            is_over = end is not None and time.monotonic() > end
            if is_over or not any(
                states[case.name] in (State.QUEUED, State.RUNNING) for case in cases
            ):
                return states
            time.sleep(0.5)

    def cancel(self, folder: CampaignFolder, cases: Sequence[Case]) -> list[str]:
        """Cancel the jobs of cases that have not ended.

        Returns
        -------
        list
            The names of the cases whose jobs were cancelled.

        Raises
        ------
        JobError
            For the first that the batch system does not cancel.
        TimeoutError
            For the first that has not gone after a minute and a half.
        """
        cancelled = []
        local: dict[str, dict[str, Any]] = {}
        asked: dict[str, dict[str, Any]] = {}
        for case in cases:
            submission = folder.submission(case)
            if submission is None or folder.state(case).is_final:
                continue
            if submission.get("executor") != self.name:
                continue
            if self.name == background.LOCAL:
                local[case.name] = submission
                continue
            try:
                self._executor.cancel(self._attached(submission["native_id"]))
            except psij.SubmitException as error:
                reason = " ".join(str(error).split())
                raise JobError(f"{case.name}: {self.name} does not cancel it: {reason}") from error
            asked[case.name] = submission
        background.stop(local)
        end = time.monotonic() + CANCEL_SECONDS
        for case in cases:
            submission = local.get(case.name) or asked.get(case.name)
            if submission is None:
                continue
            if case.name in asked and not self._has_ended(submission, end - time.monotonic()):
                raise TimeoutError(
                    f"{case.name}: {self.name} was told to cancel it, and it is not gone yet; "
                    "dgen status tells when"
                )
            # One that was quicker has ended by itself.
            if folder.state(case) is not State.DONE:
                note = {"ended": str(State.CANCELLED), "message": None}
                write_json(folder.place(case) / "submission.json", submission | note)
                cancelled.append(case.name)
        return cancelled

    def _has_ended(self, submission: dict[str, Any], seconds: float) -> bool:
        """Wait for a job that was cancelled; return whether it has gone."""
        job = self._attached(submission["native_id"])
        status = job.wait(datetime.timedelta(seconds=max(0.1, seconds)))
        return status is not None and bool(status.final)


def _environment(wanted: Resources) -> dict[str, str]:
    """Return the variables that a script reads."""
    if not wanted.seconds or not wanted.stop_before:
        return {}
    return {"dgen_stop_after": str(max(1, wanted.seconds - wanted.stop_before))}
