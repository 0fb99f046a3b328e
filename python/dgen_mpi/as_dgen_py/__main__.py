# SPDX-License-Identifier: MIT OR Apache-2.0
"""Start a program that imports `dgen_py`, and have it use dgen_mpi."""

from __future__ import annotations

import os
import sys

from dgen_mpi.as_dgen_py import PATH, command, environment

USAGE = """\
usage: python -m dgen_mpi.as_dgen_py (PROGRAM.py | -m MODULE | COMMAND) [ARGUMENT ...]
       python -m dgen_mpi.as_dgen_py --path

Start a program that imports dgen_py, and have it, and all that it starts, use dgen_mpi instead.
--path prints the folder that PYTHONPATH begins with then.
"""


def main(arguments: list[str]) -> int:
    """Become the program; return only where there is none."""
    if arguments == ["--path"]:
        sys.stdout.write(f"{PATH}\n")
        return 0
    if arguments and arguments[0] in ("-h", "--help"):
        sys.stdout.write(USAGE)
        return 0
    if not arguments or arguments == ["-m"] or (arguments[0] != "-m" and arguments[0][0:1] == "-"):
        sys.stderr.write(USAGE)
        return 2
    words = command(arguments)
    sys.stdout.flush()
    try:
        os.execvpe(words[0], words, environment(os.environ))
    except OSError as error:
        sys.stderr.write(f"dgen_mpi.as_dgen_py: error: {words[0]}: {error.strerror}\n")
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
