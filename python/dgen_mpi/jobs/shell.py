# SPDX-License-Identifier: MIT OR Apache-2.0
"""Texts of users as bash reads them: one word each, whatever stands in them."""

from __future__ import annotations

import functools
import shlex
import shutil
import subprocess
from collections.abc import Iterable

from dgen_mpi.jobs.files import JobError

_CHECK_SECONDS = 20
"""How long bash may take to say whether lines are whole."""


def word(text: str) -> str:
    """Return a text as one word of bash, on one line, without control characters.

    Raises `JobError` for a text with a NUL, which no word can hold, and for a name that is not
    UTF-8, which the program does not take.
    """
    if text.isprintable():
        return shlex.quote(text)
    if "\0" in text:
        raise JobError(f"{text!a} is not accepted; give text without NUL")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise JobError(f"{text!a} is not accepted; give text in UTF-8")
    return f"$'{''.join(map(_escaped, text))}'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


def words(texts: Iterable[str]) -> str:
    """Return texts as words of bash; raises `JobError` as `word` does."""
    return " ".join(map(word, texts))


def comment(text: str) -> str:
    """Return a text that is one line of a comment; raises `JobError` for control characters."""
    if not text.replace("\t", " ").isprintable():
        raise JobError(
            f"{text!a} is not accepted; give one line without control characters to a batch system"
        )
    return text


@functools.lru_cache(maxsize=256)
def commands(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Return lines of shell joined to whole commands, such as an ``if`` with its ``fi``.

    A line that no others make whole stays alone: bash tells what is wrong with it.
    """
    if shutil.which("bash") is None:
        return lines
    found: list[str] = []
    first = 0
    while first < len(lines):
        texts = ("\n".join(lines[first:stop]) for stop in range(first + 1, len(lines) + 1))
        found.append(next(filter(_is_whole, texts), lines[first]))
        first += found[-1].count("\n") + 1
    return tuple(found)


def _is_whole(text: str) -> bool:
    if (len(text) - len(text.rstrip("\\"))) % 2:
        return False
    done = subprocess.run(
        ["bash", "--norc", "-n"],
        input=f"{text}\n".encode("utf-8", "replace"),
        capture_output=True,
        timeout=_CHECK_SECONDS,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    # Bash only warns of a text (<<) that ends too soon.
    return done.returncode == 0 and not done.stderr
