# SPDX-License-Identifier: MIT OR Apache-2.0
"""Campaigns of `dgen-mpi` jobs: job files, sweeps, batch systems, results in one folder.

Needs what ``pip install 'dgen-mpi[jobs]'`` installs.
"""

try:
    import pydantic as _pydantic  # noqa: F401
    import yaml as _yaml  # noqa: F401
except ImportError as _error:
    _reason = f"{_error.name} is missing: pip install 'dgen-mpi[jobs]'"
    raise ImportError(_reason, name=_error.name) from _error

from dgen_mpi.jobs.campaign import Campaign, Case, campaign_schema, is_axis, job_schema
from dgen_mpi.jobs.files import JobError
from dgen_mpi.jobs.folder import CampaignFolder, State, StepResult
from dgen_mpi.jobs.local import Ended, Event, Progressed, Started, run
from dgen_mpi.jobs.model import Job
from dgen_mpi.jobs.schedulers import BatchSystem
from dgen_mpi.jobs.scripts import SCHEDULERS, Resources, script

__all__ = [
    "SCHEDULERS",
    "BatchSystem",
    "Campaign",
    "CampaignFolder",
    "Case",
    "Ended",
    "Event",
    "Job",
    "JobError",
    "Progressed",
    "Resources",
    "Started",
    "State",
    "StepResult",
    "campaign_schema",
    "is_axis",
    "job_schema",
    "run",
    "script",
]
