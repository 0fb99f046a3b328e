# SPDX-License-Identifier: MIT OR Apache-2.0
"""The command line: `python -m dgen_mpi`, also installed as `dgen`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return its exit status."""
    try:
        from dgen_mpi import cli
    except ImportError as error:
        print(
            f"dgen: error: {error.name} is missing: pip install 'dgen-mpi[jobs]'", file=sys.stderr
        )
        return 2
    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
