# SPDX-License-Identifier: MIT OR Apache-2.0
"""Python side of dgen-mpi: test data whose contents do not depend on how they were made."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__: str = version("dgen-mpi")
"""The version of the package, the same as that of the program `dgen-mpi`."""
