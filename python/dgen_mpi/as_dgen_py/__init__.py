# SPDX-License-Identifier: MIT OR Apache-2.0
"""Has programs that import `dgen_py` by themselves, such as DLIO, use this package instead.

Only where somebody asks for it: by starting a program with ``python -m dgen_mpi.as_dgen_py``, or by
having the folder `PATH` on ``PYTHONPATH``. Everything that the program starts uses it too. Where
dgen-py is installed it stays as it is; it is not used, and a record of the logger
``dgen_mpi.as_dgen_py`` says so.
"""

from __future__ import annotations

import logging
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PATH = str(Path(__file__).parent / "path")
"""The folder with the module `dgen_py`."""

_log = logging.getLogger(__name__)


def command(arguments: Sequence[str]) -> list[str]:
    """Return what starts a program: a file of Python, ``-m`` and a module, or a command."""
    first = arguments[0]
    if first == "-m" or first.endswith(".py"):
        return [sys.executable, *arguments]
    return list(arguments)


def environment(present: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which programs find the module before any other."""
    others = [path for path in present.get("PYTHONPATH", "").split(os.pathsep) if path != PATH]
    return {**present, "PYTHONPATH": os.pathsep.join(filter(None, [PATH, *others]))}


def tell() -> None:
    """Say that an installed dgen-py is not used, where there is one."""
    try:
        installed = metadata.version("dgen-py")
    except metadata.PackageNotFoundError:
        return
    _log.warning(
        "dgen_py is dgen-mpi %s here; dgen-py %s, which is installed, is not used",
        metadata.version("dgen-mpi"),
        installed,
    )
