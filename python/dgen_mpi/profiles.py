# SPDX-License-Identifier: MIT OR Apache-2.0
"""Profiles: what measured data is composed of, ready ones and files.

Needs what ``pip install 'dgen-mpi[jobs]'`` installs.
"""

from dgen_mpi.jobs.profiles import OPTIONS, REMARKS, check, load, parse, ready, remarks

__all__ = ["OPTIONS", "REMARKS", "check", "load", "parse", "ready", "remarks"]
