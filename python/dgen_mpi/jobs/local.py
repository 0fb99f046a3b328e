# SPDX-License-Identifier: MIT OR Apache-2.0
"""Cases run on this machine, one after the other, with what happens told as it happens."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from dgen_mpi._files import open_own
from dgen_mpi.jobs import background, logs
from dgen_mpi.jobs.campaign import Case
from dgen_mpi.jobs.folder import CampaignFolder, State

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Started:
    """A case begins."""

    case: Case


@dataclass(frozen=True)
class Progressed:
    """A step of a case has moved some bytes."""

    case: Case
    step: str
    operation: str
    bytes: int
    total_bytes: int
    seconds: float


@dataclass(frozen=True)
class Ended:
    """A case has ended, or had before."""

    case: Case
    state: State
    message: str = ""
    """What went wrong, as the program said it."""
    was_done: bool = False
    """Whether an earlier run did it."""


Event = Started | Progressed | Ended


def run(folder: CampaignFolder, *, stop_at_failure: bool = False) -> Iterator[Event]:
    """Run the cases of a campaign that have not ended well, one after the other.

    Whoever stops iterating, or is interrupted, stops the case that runs: it ends at the next
    transfer, with a valid report. So does the death of this process. With `stop_at_failure`, cases
    after one that fails are left alone.

    Yields what happens, progress about five times a second. Raises `JobError` where somebody else
    runs this campaign.
    """
    with folder.locked() as lock:
        folder.require_unchanged()
        for case in folder.campaign.cases:
            state = folder.state(case)
            if state is State.DONE:
                yield Ended(case, state, was_done=True)
                continue
            if state in (State.QUEUED, State.RUNNING):
                system = (folder.submission(case) or {}).get("executor")
                advice = f"{system} has it; dgen status asks how it is, dgen cancel takes it back"
                yield Ended(case, state, advice)
                continue
            yield Started(case)
            message = yield from _run_case(folder, case, lock)
            state = folder.state(case)
            if state is State.DONE:
                yield Ended(case, state)
                continue
            log = folder.log(case)
            yield Ended(case, state, message or logs.reason(log) or f"no report; see {log}")
            if stop_at_failure:
                return


def _run_case(folder: CampaignFolder, case: Case, lock: int) -> Generator[Progressed, None, str]:
    """Run a case; returns the last error that was printed."""
    folder.take(case)
    # What an earlier run was given to is over.
    (folder.place(case) / "submission.json").unlink(missing_ok=True)
    with os.fdopen(open_own(folder.log(case)), "a", encoding="utf-8", errors="replace") as log:
        # What stands before it is of earlier runs.
        log.write(f"{logs.STEP}{case.name}\n")
        log.flush()
        step = message = ""
        with started(
            ["bash", str(folder.script(case))],
            case.name,
            stdout=log,
            env={**os.environ, "DGEN_PROGRESS": "json"},
            pass_fds=(lock,),
        ) as process:
            for line in process.stderr or ():
                if line.startswith(logs.STEP):
                    step = line.removeprefix(logs.STEP).strip().removesuffix(".report.json")
                    continue
                progress = _progress(case, step, line)
                if progress is not None:
                    yield progress
                    continue
                log.write(line)
                log.flush()
                if error := logs.error_in(line):
                    message = f"{error}; see {folder.log(case)}"
            status = process.wait()
        kept = folder.place(case) / "exit_status"
        if status and not os.path.lexists(kept):
            # A script that is killed cannot say so.
            kept.write_text(f"{5 if status < 0 else 3}\n", encoding="ascii")
        return message


@contextlib.contextmanager
def started(command: list[str], name: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a command, which is told to stop where this is left before, or this process dies.

    What is left of it and of what it has started after `background.STOP_SECONDS` is killed.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        # Interrupts from the terminal come to this process, which hands them on.
        start_new_session=True,
        preexec_fn=functools.partial(
            ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0
        ),
        **options,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                logging.getLogger("dgen_mpi.jobs").info("%s: stopping", name)
                try:
                    process.terminate()
                    _let_end(process)
                finally:
                    # As long as nobody has asked how it ended, no other group has its number.
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def _let_end(process: subprocess.Popen[str]) -> None:
    """Wait for a process that was told to stop, and take what it prints, without reaping it."""
    assert process.stderr is not None
    os.set_blocking(process.stderr.fileno(), False)
    end = time.monotonic() + background.STOP_SECONDS
    how = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while time.monotonic() < end and os.waitid(os.P_PID, process.pid, how) is None:
        with contextlib.suppress(BlockingIOError):
            os.read(process.stderr.fileno(), 1 << 16)
        time.sleep(0.02)


def _progress(case: Case, step: str, line: str) -> Progressed | None:
    try:
        said: Any = json.loads(line) if line.startswith("{") else None
        names = ("operation", "bytes", "total_bytes", "seconds")
        operation, moved, total, seconds = (said[name] for name in names)
        return Progressed(case, step, str(operation), int(moved), int(total), float(seconds))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
