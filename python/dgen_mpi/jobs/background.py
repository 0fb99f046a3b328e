# SPDX-License-Identifier: MIT OR Apache-2.0
"""Cases as processes of this machine that go on by themselves: started, asked after, and stopped.

What is told to stop is proven to be ours: the process that was started, known by its number and the
moment of its start, or one that has inherited the secret that the job was given.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from dgen_mpi._files import open_own
from dgen_mpi.jobs.files import JobError

LOCAL = "local"
"""What this way to run cases is called among the batch systems."""

STOP_SECONDS = 20
"""How long a job that is told to stop may take for it, before it is killed."""

LEFT_SECONDS = 1
"""How long processes may take that a script has left behind."""

KILL_SECONDS = 10
"""How long processes that are killed may take to go."""

_SECRET = "DGEN_JOB"

_children: dict[int, subprocess.Popen[bytes]] = {}


class _Process(NamedTuple):
    """A process; its number alone may come back for another one."""

    number: int
    start_ticks: int


def start(
    script: Path, *, log: Path, lock: Path, folder: Path, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Start a script in the folder `folder`; return what `is_running` and `stop` want to know.

    It has a session of its own, and `environment` beside the variables of this process. `log` gets
    what it prints. Its processes keep `lock` locked, for those who do not see them. Raises
    `OSError` where a file cannot be opened, or bash not be started.
    """
    secret = secrets.token_hex(16)
    with os.fdopen(open_own(log), "ab") as printed, os.fdopen(open_own(lock), "ab") as held:
        with contextlib.suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        process = subprocess.Popen(
            ["/bin/bash", str(script)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            start_new_session=True,
            pass_fds=(held.fileno(),),
            env={**os.environ, **environment, _SECRET: secret},
        )
    _children[process.pid] = process
    return {
        "executor": LOCAL,
        "native_id": str(process.pid),
        "submitted": datetime.now(UTC).isoformat(),
        "host": socket.gethostname(),
        "boot": _boot(),
        "processes": _number_space(),
        "start_ticks": _start_ticks(process.pid),
        "secret": secret,
        "lock": str(lock),
    }


def is_running(job: Mapping[str, Any]) -> bool | None:
    """Return whether anything of a job is there; None where that cannot be seen from here."""
    if job.get("host") not in (None, socket.gethostname()):
        return None
    if job.get("boot") not in (None, _boot()):
        return False
    if _first(job) is not None or _processes([job]):
        return True
    # As seen from another container.
    is_elsewhere = job.get("processes") != _number_space()
    return is_elsewhere and isinstance(job.get("lock"), str) and is_locked(job["lock"])


def stop(jobs: Mapping[str, Mapping[str, Any]]) -> None:
    """End jobs, what `start` returned by their names, and return when they have gone.

    They are told to stop, which `dgen-mpi` does at the next transfer; what is still there after
    `STOP_SECONDS` is killed. Raises `JobError` for the first that cannot be seen from here, and
    `TimeoutError` for the first that does not go.
    """
    for name, job in jobs.items():
        if is_running(job) is None:
            raise JobError(f"{name}: it was started on {job.get('host')}; cancel it there")
    for job in jobs.values():
        # The script hands it on, and says how the case ended.
        first = _first(job)
        _signal([first] if first is not None else _processes([job]), signal.SIGTERM, signal.SIGCONT)
    scripts = [job for job in jobs.values() if _first(job) is not None]
    end = time.monotonic() + STOP_SECONDS
    while left := _processes(jobs.values()):
        now = time.monotonic()
        if scripts and all(_first(job) is None for job in scripts):
            # They have waited for what they started: what is left does not end by itself.
            end, scripts = min(end, now + LEFT_SECONDS), []
        if now > end:
            _signal(left, signal.SIGKILL)
        if now > end + KILL_SECONDS:
            break
        time.sleep(0.05)
    for name, job in jobs.items():
        if is_running(job):
            numbers = " ".join(str(process.number) for process in _processes([job]))
            seen = f"process {numbers}" if numbers else "processes that cannot be seen from here"
            raise TimeoutError(f"{name}: it was told to stop, and is not gone: {seen}")


def _first(job: Mapping[str, Any]) -> _Process | None:
    """Return the process that was started, if it is there."""
    ticks, number = job.get("start_ticks"), str(job.get("native_id"))
    if not isinstance(ticks, int) or not number.isdecimal():
        return None
    process = _Process(int(number), ticks)
    return process if _is_there(process) else None


def _processes(jobs: Iterable[Mapping[str, Any]]) -> list[_Process]:
    """Return the processes of jobs, whatever they were started by and whoever has adopted them."""
    found = [first for job in jobs if (first := _first(job)) is not None]
    secrets_of = [secret for job in jobs if (secret := job.get("secret"))]
    wanted = {f"{_SECRET}={secret}".encode() for secret in secrets_of}
    if not wanted:
        return found
    for place in Path("/proc").glob("[0-9]*"):
        number = int(place.name)
        with contextlib.suppress(OSError):
            if place.stat().st_uid != os.getuid():
                continue
            ticks = _start_ticks(number)
            variables = (place / "environ").read_bytes().split(b"\0")
            if ticks is None or number == os.getpid() or wanted.isdisjoint(variables):
                continue
            if (process := _Process(number, ticks)) not in found:
                found.append(process)
    return found


def _is_there(process: _Process) -> bool:
    return _start_ticks(process.number) == process.start_ticks


def _start_ticks(number: int) -> int | None:
    """Return when a process was started, in ticks since the system was; None for one that ended."""
    child = _children.get(number)
    if child is not None and child.poll() is not None:
        del _children[number]
    try:
        # After the name, which may hold anything.
        fields = Path(f"/proc/{number}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    # One that has ended, and that nobody has asked after, does nothing any more.
    return int(fields[19]) if len(fields) > 19 and fields[0] not in (b"Z", b"X") else None


def _signal(processes: Iterable[_Process], *numbers: signal.Signals) -> None:
    """Send signals to processes, and to none that has come in the place of one of them."""
    for process in processes:
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(process.number)
            try:
                if _is_there(process):
                    for number in numbers:
                        signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)


def is_locked(path: str | Path) -> bool:
    """Return whether somebody has locked a file, as far as that can be seen."""
    with contextlib.suppress(OSError, ValueError):
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
    return False


def _boot() -> str | None:
    """Return what tells one start of this system from others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


def _number_space() -> str | None:
    """Return what tells the processes that are seen here from those of another container."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None
