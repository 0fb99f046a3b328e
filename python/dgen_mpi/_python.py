# SPDX-License-Identifier: MIT OR Apache-2.0
"""Refuse a Python that the extension does not work with, in words that say what helps.

The program that comes with the package needs no Python, so it is installed for any. This file is
understood by Python 3.6.
"""

import sys
import sysconfig

if sys.version_info < (3, 9):  # noqa: UP036
    raise ImportError("dgen_mpi needs Python 3.9 or later; the program dgen-mpi works without")
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    raise ImportError(
        "dgen_mpi has no build for free-threaded Python: use the one with the lock; the program "
        "dgen-mpi works without"
    )
