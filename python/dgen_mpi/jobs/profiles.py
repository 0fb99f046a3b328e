# SPDX-License-Identifier: MIT OR Apache-2.0
"""Profiles: what measured data is composed of, ready ones and files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dgen_mpi import _native
from dgen_mpi.jobs import files
from dgen_mpi.jobs.texts import TABLE, texts_of

OPTIONS = tuple(row["name"] for row in TABLE if row["of_profile"])
"""The options that a profile may give."""

REMARKS = ("name", "about", "source", "measured", "assumed")
"""Its texts for people."""


def ready() -> dict[str, str]:
    """Return the ready profiles as YAML, by their names."""
    return _native.profiles()


def load(profile: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a profile says: options as job files have them, and texts for people.

    Raises OSError for a file that cannot be read, and `JobError`, a ValueError, in one line for
    what is no profile.

    Parameters
    ----------
    profile
        The name of a ready one, or a file.
    """
    known = ready()
    name = os.fspath(profile)
    if name in known:
        return parse(known[name], f"profile {name}")
    return parse(files.read(Path(name)), name)


def parse(text: str, name: str) -> dict[str, Any]:
    """Return what the text of a profile says; `name` is what messages call it."""
    content = files.parse(text, name)
    files.refuse_unknown(content, [*OPTIONS, *REMARKS], name)
    for key in REMARKS:
        told = content.get(key, "")
        if not all(isinstance(each, str) for each in (told if isinstance(told, list) else [told])):
            raise files.JobError(f"{name}: '{key}' is a text or a list of texts")
    given = {key: content[key] for key in OPTIONS if key in content}
    if not given:
        raise files.JobError(f"{name}: a profile gives one of these at least: {' '.join(OPTIONS)}")
    try:
        _native.check_options("", texts_of(given), {})
    except ValueError as error:
        raise files.JobError(f"{name}: {error}") from error
    return content


def remarks(profile: Mapping[str, Any], key: str) -> list[str]:
    """Return texts for people that a profile has under a key."""
    told = profile.get(key) or []
    return [told] if isinstance(told, str) else list(told)


def check(operation: str, texts: dict[str, list[str]]) -> dict[str, Any]:
    """Return the values of a job's options, checked together with those of a ready profile.

    A profile in a file is read where the job runs. What of a profile counts is decided where the
    program decides it, in the extension.
    """
    name = texts.get("profile", [""])[-1]
    known = ready()
    if name not in known:
        return _native.check_options("" if name else operation, texts, {})
    profile = parse(known[name], f"profile {name}")
    under = texts_of({key: profile[key] for key in OPTIONS if key in profile})
    return _native.check_options(operation, texts, under)
