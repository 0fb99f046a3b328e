# SPDX-License-Identifier: MIT OR Apache-2.0
"""Sub-interpreters, and modules that are imported more than once.

Each in a process of its own, which might hang.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

USE = """
try:
    import dgen_mpi
    view = dgen_mpi.generate_buffer(3_000_000, seed=1)
    assert dgen_mpi.DataSpec(3_000_000, 1).compare(view) == []
    print("works")
except ImportError as error:
    print(error)
"""

RUNS = {
    "_testcapi": "import _testcapi\nrun = _testcapi.run_in_subinterp\n",
    "_xxsubinterpreters": (
        "import _xxsubinterpreters as them\n"
        "def run(program):\n    them.run_string(them.create(), program)\n"
    ),
    "isolated": (
        "import _xxsubinterpreters as them\n"
        "def run(program):\n    them.run_string(them.create(isolated=True), program)\n"
    ),
    "threads": (
        "import _xxsubinterpreters as them, threading\n"
        "def run(program):\n"
        "    thread = threading.Thread(target=them.run_string, args=(them.create(), program))\n"
        "    thread.start()\n    thread.join()\n"
    ),
}
REFUSED = "dgen_mpi works in the main interpreter of a process, not in a sub-interpreter\n"


def run(program: str) -> str:
    """Return what a program prints, which ends well and says nothing else."""
    done = subprocess.run(
        # Each interpreter would have a buffer of its own.
        [sys.executable, "-u", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="interpreters have other names")
@pytest.mark.parametrize("way", RUNS)
@pytest.mark.parametrize("first", ["main", "other", "neither"])
def test_sub_interpreters_are_refused(way: str, first: str) -> None:
    """With an ImportError, whoever imports first; the main interpreter goes on as before."""
    if way == "_testcapi":
        pytest.importorskip("_testcapi")
    use = f"run({USE!r})\n"
    if first == "main":
        program, expected = f"{USE}{use}{use}{USE}", f"works\n{REFUSED}{REFUSED}works\n"
    elif first == "other":
        program, expected = f"{use}{USE}{use}", f"{REFUSED}works\n{REFUSED}"
    else:
        program, expected = use + use, 2 * REFUSED
    assert run(RUNS[way] + program) == expected


def test_importing_again_gives_the_same_types() -> None:
    """Objects of both are those of either, as where a program reloads its modules."""
    program = """
import sys
import dgen_mpi
before = dgen_mpi
for name in [name for name in sys.modules if name.startswith("dgen_mpi")]:
    del sys.modules[name]
import dgen_mpi
assert dgen_mpi is not before
assert dgen_mpi.UnsuitableBufferError is before.UnsuitableBufferError
view = before.generate_buffer(1000, seed=1)
assert isinstance(view, dgen_mpi.BytesView)
assert dgen_mpi.DataSpec(1000, 1).compare(view) == []
assert before.DataSpec(1000, 1).fill(dgen_mpi.generate_buffer(1000)) == 1000
for package in (before, dgen_mpi):
    try:
        package.DataSpec(1000, 1).fill(b"read-only")
    except dgen_mpi.UnsuitableBufferError:
        print("works")
"""
    assert run(program) == "works\nworks\n"
