# SPDX-License-Identifier: MIT OR Apache-2.0
"""The package installs, and goes with the program of the same version."""

import re
from pathlib import Path

import dgen_mpi


def test_version_is_that_of_the_program() -> None:
    """Package and program are released together."""
    source = Path(__file__).parents[2] / "Sources/DGenCommand/Commands/Version.swift"
    found = re.search(r'current = "([^"]+)"', source.read_text(encoding="utf-8"))
    assert found is not None
    assert dgen_mpi.__version__ == found[1]
