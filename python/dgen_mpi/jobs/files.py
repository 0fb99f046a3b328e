# SPDX-License-Identifier: MIT OR Apache-2.0
"""Job and campaign files: YAML, read as `dgen-mpi --job` reads it, every value as it is written."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

BYTES_MAX = 1 << 20
"""The longest job file, in bytes."""

# The parser that the program uses too, where PyYAML has it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class JobError(ValueError):
    """A job or campaign file, or a field of one, that is not accepted; the message is one line."""


def read(path: Path) -> str:
    """Return the text of a job file.

    Raises
    ------
    JobError
        For what is no file that can be read, is not UTF-8, or has more than 1 MiB.
    """
    try:
        if path.stat().st_size > BYTES_MAX:
            raise JobError(f"{path}: larger than 1 MiB, not a job file")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise JobError(f"{path}: not readable: {reason}") from error


def parse(text: str, name: str) -> dict[str, Any]:
    """Return what a file says: texts, lists and mappings of texts, None for nothing.

    Raises
    ------
    JobError
        For what is not YAML, not a mapping, or has a key twice.
    """
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise JobError(f"{name}: not readable as YAML: {' '.join(str(error).split())}") from error
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise JobError(f"{name}: a job file is a mapping of options, such as 'size: 1GiB'")
    return _mapping(root, name, is_top=True)


def _value(node: yaml.Node, name: str, *, keeps_null: bool) -> Any:
    if isinstance(node, yaml.ScalarNode):
        is_null = node.tag == "tag:yaml.org,2002:null" and not keeps_null
        return None if is_null else str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_value(element, name, keeps_null=keeps_null) for element in node.value]
    return _mapping(node, name, keeps_null=keeps_null)


def _mapping(
    node: yaml.Node, name: str, *, is_top: bool = False, keeps_null: bool = False
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        place = f"{name}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise JobError(f"{place}: an option's name must be a word")
        if key.value in found:
            raise JobError(f"{place}: '{key.value}' is there twice")
        # A hint may have any word as its value.
        keeps = keeps_null or (is_top and key.value == "hint" and not _is_null(value))
        found[key.value] = _value(value, name, keeps_null=keeps)
    return found


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def dump(content: dict[str, Any]) -> str:
    """Return a mapping as YAML, in its order, a line for each of its keys."""
    return "".join(f"{key}: {_flow(value)}\n" for key, value in content.items())


def _flow(value: Any) -> str:
    text = yaml.dump(
        value,
        Dumper=_DUMPER,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=True,
        width=1e9,
    )
    # After a plain value PyYAML ends the document.
    return str(text).removesuffix("...\n").rstrip("\n")


def refuse_unknown(keys: Iterable[str], known: Iterable[str], name: str) -> None:
    """Raise a `JobError` for the first key that is not known, with the one probably meant."""
    known = sorted(known)
    for key in keys:
        if key in known:
            continue
        near = difflib.get_close_matches(key.lower().replace("-", "_"), known, 1)
        advice = f"did you mean '{near[0]}'?" if near else f"known: {' '.join(known)}"
        raise JobError(f"{name}: unknown key '{key}'; {advice}")


def one_line(error: ValidationError, name: str) -> JobError:
    """Return the first thing that is wrong, as one line."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        message = "missing"
    field = ".".join(map(str, first["loc"]))
    return JobError(f"{name}: {field}: {message}" if field else f"{name}: {message}")
