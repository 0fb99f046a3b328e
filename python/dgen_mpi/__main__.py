# SPDX-License-Identifier: MIT OR Apache-2.0
"""The command line: `python -m dgen_mpi`, also installed as `dgen`."""

from __future__ import annotations

import contextlib
import os
import sys


def main() -> int:
    """Run the command line and return its exit status."""
    # Files that are opened later must not take the places of streams that are closed: programs
    # would print into them.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    try:
        if sys.version_info < (3, 11):
            return _complain("campaigns need Python 3.11 or later", 2)
        from dgen_mpi import cli

        return cli.main(sys.argv[1:])
    except ImportError as error:
        name = error.name or error
        return _complain(f"{name} is missing: pip install 'dgen-mpi[jobs]'", 2)
    except KeyboardInterrupt:
        # A second one, or one before anything was begun.
        return _complain("interrupted", 5)


def _complain(message: str, status: int) -> int:
    with contextlib.suppress(OSError, AttributeError):
        print(f"dgen: error: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
