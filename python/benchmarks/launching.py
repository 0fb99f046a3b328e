# SPDX-License-Identifier: MIT OR Apache-2.0
"""How the measurements start programs under MPI: all of them in the same way."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from collections.abc import Sequence


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser of what all measurements beside IOR are told."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--program", default="dgen-mpi", help="dgen-mpi to measure")
    default = os.environ.get("IOR") or shutil.which("ior")
    made.add_argument("--ior", default=default, help="IOR to compare with")
    made.add_argument("--directory", default="/dev/shm", help="where to write")
    return made


def mpirun(
    ranks: int, words: Sequence[str], options: Sequence[str] = (), *, check: bool = True
) -> str:
    """Run a program with some ranks and return what it printed.

    Parameters
    ----------
    ranks
        How many.
    words
        The program and its arguments.
    options
        Further ones of `mpirun`.
    check
        Whether a status other than 0 is an error.

    Raises
    ------
    subprocess.CalledProcessError
        Where it is one.
    subprocess.TimeoutExpired
        After ten minutes.
    """
    environment = dict(os.environ)
    if os.geteuid() == 0:
        environment["OMPI_ALLOW_RUN_AS_ROOT"] = "1"
        environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    # By default a few ranks are bound to a core each, and more are not.
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)]
    done = subprocess.run(
        [*command, *options, *words],
        env=environment,
        check=check,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.stdout
