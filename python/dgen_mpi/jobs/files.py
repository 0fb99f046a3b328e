# SPDX-License-Identifier: MIT OR Apache-2.0
"""Job and campaign files: YAML, read as `dgen-mpi --job` reads it, every value as it is written."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dgen_mpi._arguments import in_one_line
from dgen_mpi._files import read_text

BYTES_MAX = 1 << 20
"""The longest job file, in bytes; and the most bytes of its texts, aliases followed."""

NODES_MAX = 100_000
"""The most texts, lists and mappings of a job file, aliases followed."""

DEPTH_MAX = 32
"""How deep its lists and mappings may be nested."""

# The parser that the program uses too, where PyYAML has it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class JobError(ValueError):
    """A job or campaign file, or a field of one, that is not accepted; the message is one line."""


def read(path: Path) -> str:
    """Return the text of a job file, which may be a pipe too.

    Raises `JobError` for what is no file that can be read, is not UTF-8, or has more than 1 MiB.
    """
    try:
        return read_text(path, BYTES_MAX, may_be_pipe=True)
    except OSError as error:
        raise JobError(f"{path}: not readable: {error.strerror}") from error
    except ValueError as error:
        raise JobError(f"{path}: not a job file: {error}") from error


def parse(text: str, name: str) -> dict[str, Any]:
    """Return what a file says: texts, lists and mappings of texts, None for nothing.

    The parser's events are read one by one and bounded: what composes them to trees follows aliases
    without an end. `Sources/DGen/Options/YAML.swift` has the same rules.

    Raises `JobError` for what is not YAML, not a mapping, or has a key twice.
    """
    return _Reader(_checked(text, name), name).document()


def _checked(text: str, name: str) -> str:
    """Return the text that is parsed: of characters that every parser takes for the same."""
    if len(text.encode("utf-8", "surrogatepass")) > BYTES_MAX:
        raise JobError(f"{name}: larger than {BYTES_MAX} bytes")
    text = text.removeprefix("\ufeff")
    if match := _DIRECTIVE.search(text):
        line = _line(text, match.end())
        raise JobError(f"{name}:{line}: directives, as '%YAML', are not accepted")
    if match := _STRANGE.search(text):
        raise JobError(
            f"{name}:{_line(text, match.start())}: the character U+{ord(match[0]):04X} is not "
            "accepted; in double quotes it has an escape"
        )
    return text


def _line(text: str, place: int) -> int:
    return 1 + len(_LINE_END.findall(text[:place]))


_DIRECTIVE = re.compile("(?:^|[\r\n])%")
_LINE_END = re.compile("\r\n|\r|\n")
_STRANGE = re.compile(
    "[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


@dataclass(slots=True)
class _Part:
    """A part of what a file says, and what it amounts to with all aliases followed."""

    value: Any
    nodes: int = 1
    bytes: int = 0
    height: int = 0
    """How deep lists and mappings are nested in it."""

    def add(self, element: _Part) -> None:
        """Count what it holds."""
        self.nodes += element.nodes
        self.bytes += element.bytes
        self.height = max(self.height, element.height + 1)


class _Reader:
    """Makes a tree of the parser's events, within bounds."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._events = self._parsed(text)
        self._anchors: dict[str, _Part] = {}
        self._nodes = 0
        self._bytes = 0

    def _parsed(self, text: str) -> Iterator[yaml.Event]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            line = getattr(error.problem_mark, "line", 0) + 1
            problem = " ".join(str(error.problem or error.context).split())
            raise JobError(f"{self._name}:{line}: not readable as YAML: {problem}") from error
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # The parser in Python makes characters of any number.
            problem = " ".join(str(error).split())
            raise JobError(f"{self._name}: not readable as YAML: {problem}") from error

    def document(self) -> dict[str, Any]:
        """Return the mapping that is the only document."""
        next(self._events)
        if not isinstance(next(self._events), yaml.DocumentStartEvent):
            return {}
        root = self._part(next(self._events), 0)
        next(self._events)
        if not isinstance(end := next(self._events), yaml.StreamEndEvent):
            raise self._refusal(end, "a second document; give one")
        if isinstance(root.value, _Null):
            return {}
        if not isinstance(root.value, dict):
            raise JobError(
                f"{self._name}: a job file is a mapping of options, such as 'size: 1GiB'"
            )
        # A hint may have any word as its value.
        return {
            key: _plain(value, keeps_null=key == "hint" and not isinstance(value, _Null))
            for key, value in root.value.items()
        }

    def _refusal(self, event: yaml.Event, reason: str) -> JobError:
        line = getattr(event.start_mark, "line", 0) + 1
        return JobError(f"{self._name}:{line}: {in_one_line(reason)}")

    def _part(self, event: yaml.Event, depth: int) -> _Part:
        """Return what begins with an event, inside of `depth` lists and mappings."""
        tag = getattr(event, "tag", None)
        # Libyaml itself passes over the tag '!' of a text.
        if tag is not None and not (tag == "!" and isinstance(event, yaml.ScalarEvent)):
            reason = "tags, as '!!int', are not accepted; values are as they are written"
            raise self._refusal(event, reason)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._refusal(
                    event, f"the alias '*{event.anchor}' stands for nothing before it"
                )
            part = self._anchors[event.anchor]
            self._count(part, event)
        elif isinstance(event, yaml.ScalarEvent):
            text = event.value
            if "\0" in text:
                raise self._refusal(event, "a NUL in a text")
            try:
                count = len(text.encode())
            except UnicodeEncodeError:
                raise self._refusal(event, "half a character in a text") from None
            is_null = _is_plain(event) and text in ("", "~", "null", "Null", "NULL")
            part = _Part(_Null(text) if is_null else text, bytes=count)
            self._count(part, event)
        else:
            self._count(_Part(None), event)
            self._require_shallow(depth + 1, event)
            if isinstance(event, yaml.SequenceStartEvent):
                part = self._list(depth)
            else:
                part = self._mapping(depth)
        self._require_shallow(depth + part.height, event)
        anchor = getattr(event, "anchor", None)
        if anchor is not None and not isinstance(event, yaml.AliasEvent):
            if anchor in self._anchors:
                raise self._refusal(event, f"the anchor '&{anchor}' is there twice")
            self._anchors[anchor] = part
        return part

    def _count(self, part: _Part, event: yaml.Event) -> None:
        self._nodes += part.nodes
        self._bytes += part.bytes
        if self._nodes > NODES_MAX or self._bytes > BYTES_MAX:
            raise self._refusal(
                event, f"more than {NODES_MAX} values or {BYTES_MAX} bytes, aliases followed"
            )

    def _require_shallow(self, depth: int, event: yaml.Event) -> None:
        if depth > DEPTH_MAX:
            raise self._refusal(event, f"lists and mappings are nested more than {DEPTH_MAX} deep")

    def _list(self, depth: int) -> _Part:
        elements: list[Any] = []
        whole = _Part(elements, height=1)
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            part = self._part(event, depth + 1)
            elements.append(part.value)
            whole.add(part)
        return whole

    def _mapping(self, depth: int) -> _Part:
        found: dict[str, Any] = {}
        whole = _Part(found, height=1)
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._refusal(event, "an option's name must be a word")
            if _is_plain(event) and event.value == "<<":
                raise self._refusal(event, "merge keys (<<) are not accepted")
            if event.value in found:
                raise self._refusal(event, f"'{event.value}' is there twice")
            whole.add(self._part(event, depth + 1))
            part = self._part(next(self._events), depth + 1)
            whole.add(part)
            found[event.value] = part.value
        return whole


class _Null(str):
    """A text that stands for nothing, where a field does not take any text."""

    __slots__ = ()


def _is_plain(event: yaml.ScalarEvent) -> bool:
    return event.style in (None, "")


def _plain(value: Any, *, keeps_null: bool) -> Any:
    """Return None for what stands for nothing, and texts that are plain."""
    if isinstance(value, _Null):
        return str(value) if keeps_null else None
    if isinstance(value, list):
        return [_plain(element, keeps_null=keeps_null) for element in value]
    if isinstance(value, dict):
        return {key: _plain(each, keeps_null=keeps_null) for key, each in value.items()}
    return value


def dump(content: dict[str, Any]) -> str:
    """Return a mapping as YAML, in its order, a line for each of its keys."""
    style: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 1e9}
    found = ""
    for key, value in content.items():
        text = str(yaml.dump(value, Dumper=_DUMPER, default_flow_style=True, **style))
        # After a plain value PyYAML ends the document.
        text = text.removesuffix("...\n").rstrip("\n")
        found += f"{key}: {text}\n"
    return found


def refuse_unknown(keys: Iterable[str], known: Iterable[str], name: str) -> None:
    """Raise a `JobError` for the first key that is not known, with the one probably meant."""
    names = frozenset(known)
    if unknown := [key for key in keys if key not in names]:
        near = difflib.get_close_matches(unknown[0].lower().replace("-", "_"), sorted(names), 1)
        advice = f"did you mean '{near[0]}'?" if near else f"known: {' '.join(sorted(names))}"
        raise JobError(f"{name}: unknown key '{in_one_line(unknown[0])}'; {advice}")
