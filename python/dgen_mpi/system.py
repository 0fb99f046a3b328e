# SPDX-License-Identifier: MIT OR Apache-2.0
"""The machine and the extension."""

from __future__ import annotations

import os
from typing import Any

from dgen_mpi import _native


def get_numa_info(sys_root: str | os.PathLike[str] = "/") -> dict[str, Any]:
    """Return the memory nodes of a machine.

    `sys_root` is the folder that stands for ``/``: that itself, or a copy of another machine's
    ``/sys`` and ``/proc``. What is missing or broken there is left out; reading does not fail.

    Returns ``num_nodes``, ``physical_cores``, ``logical_cpus``, ``is_uma``, ``deployment_type`` (a
    text), and ``nodes``: a list of dicts with ``id``, ``cpus``, ``cpus_problem`` (a text that says
    why the processors are not known, and the list is empty; None where they are),
    ``memory_total_bytes`` and ``memory_free_bytes`` (None where the kernel does not say), and
    ``distances``.
    """
    found: dict[str, Any] = _native.topology(os.fspath(sys_root))
    nodes = found["nodes"]
    is_uma = len(nodes) == 1
    return {
        "num_nodes": len(nodes),
        "physical_cores": found["cores"],
        "logical_cpus": found["threads"],
        "is_uma": is_uma,
        "deployment_type": (
            "UMA (one memory node)" if is_uma else f"NUMA ({len(nodes)} memory nodes)"
        ),
        "nodes": nodes,
    }


def get_system_info() -> dict[str, Any]:
    """Return what `get_numa_info` tells of this machine."""
    return get_numa_info()


def get_build_info() -> dict[str, Any]:
    """Return what the extension is and uses.

    That is ``version``, ``build`` (release or debug), ``kernel`` and ``kernels`` (the one in use,
    and all that this processor can run; ``DGEN_KERNEL`` forces one), and ``processors``, those that
    this process may use. Raises `ValueError` where ``DGEN_KERNEL`` names none that it can run.
    """
    return _native.build_info()
