# SPDX-License-Identifier: MIT OR Apache-2.0
"""What several tests need: the program, and commands that end."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

# Open MPI refuses to run as root, as in containers, unless told twice.
os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT", "1")
os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")

MPIRUN = ("mpirun", "--oversubscribe")
"""What starts the ranks of a test, however few processors there are."""

IS_WHOLE = os.environ.get("DGEN_TESTS") == "all"
"""Whether every test runs in its long form, as in `make test-all`; the gate leaves some out."""

SEED = int(os.environ.get("DGEN_TEST_SEED") or random.getrandbits(32))
"""What random tests draw from; one that fails can be run again with it."""

if not IS_WHOLE:
    # What Open MPI takes within one machine anyway; looking for fabrics first costs each start 0.2
    # seconds.
    os.environ.setdefault("OMPI_MCA_pml", "ob1")

only_whole = pytest.mark.skipif(not IS_WHOLE, reason="left out: of the long form")
"""Leaves a test, or some of its cases, to the long form."""

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def cases(gate: Sequence[Any], more: Sequence[Any]) -> list[Any]:
    """Return the cases of a test: those of the gate, and others that only the long form has."""
    rest = (case if isinstance(case, tuple) else (case,) for case in more)
    return [*gate, *(pytest.param(*case, marks=only_whole) for case in rest)]


def rounds(gate: int, whole: int) -> int:
    """Return how often something is tried."""
    return whole if IS_WHOLE else gate


def chance(number: int = 0) -> random.Random:
    """Return numbers at random, the same for the same `DGEN_TEST_SEED`."""
    return random.Random(f"{SEED} {number}")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Have hypothesis draw from the same seed."""
    config.option.hypothesis_seed = str(SEED)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how the same numbers come again."""
    terminalreporter.write_line(f"random numbers: DGEN_TEST_SEED={SEED}")


def missing(what: str) -> None:
    """Skip a test for want of something; `make python` has everything, so there it fails."""
    if os.environ.get("DGEN_TESTS_NEED_ALL"):
        pytest.fail(f"{what}, and no test may be skipped here")
    pytest.skip(what)


def states(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return what `--json` says of each case."""
    return {case["name"]: case for case in json.loads(done.stdout)["cases"]}


@pytest.fixture(scope="session")
def program() -> str:
    """Return the program `dgen-mpi`, with `mpirun` to start it."""
    path = os.environ.get("DGEN_MPI_PROGRAM", "")
    if not path or shutil.which("mpirun") is None:
        missing("DGEN_MPI_PROGRAM does not name the program, or there is no mpirun")
    return path


@pytest.fixture
def dgen(tmp_path: Path, program: str) -> Command:
    """Return a function that runs `python -m dgen_mpi` in a folder of the test's own."""

    def run(
        *arguments: str | Path, status: int = 0, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-W", "error::DeprecationWarning:dgen_mpi", "-m", "dgen_mpi"]
            + [str(argument) for argument in arguments],
            **{"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 300} | more,
        )
        assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done

    return run
