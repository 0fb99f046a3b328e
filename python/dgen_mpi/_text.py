# SPDX-License-Identifier: MIT OR Apache-2.0
"""Texts of users and of files, as they may be shown to people: plain, whatever stands in them."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table
    from rich.text import Text

_KINDS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""What moves, colours, hides or reverses other text: controls, formats, surrogates, line ends."""


def plain(text: object) -> str:
    r"""Return a text in which control characters are spelled out, such as ``\x1b``.

    A terminal would obey them, and a line would not be one.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(
        ascii(character)[1:-1] if unicodedata.category(character) in _KINDS else character
        for character in shown
    )


def counted(count: int, noun: str) -> str:
    """Return how many of something there are: ``1 case``, ``2 cases``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def cell(text: object) -> Text:
    """Return a text for a table or a bar of rich, which takes nothing in it for markup."""
    from rich.text import Text

    return Text(plain(text))


def new_table(columns: Sequence[str], numbers: Sequence[str] = ()) -> Table:
    """Return an empty table of rich: columns, and those of numbers to the right of them."""
    from rich.table import Table

    table = Table(header_style="bold")
    for name in columns:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def label(text: object) -> str:
    """Return a text for matplotlib, which takes what is between dollars for a formula."""
    return plain(text).replace("$", r"\$")
