# SPDX-License-Identifier: MIT OR Apache-2.0
"""Progress on stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from dgen_mpi import _native
from dgen_mpi._text import plain
from dgen_mpi.jobs import CampaignFolder, Ended, Event, Progressed, Started, State

LINE_SECONDS = 5
"""How often a line is printed where there is no terminal."""


def _bars() -> Progress:
    title = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    return Progress(
        TextColumn("{task.description}", table_column=title, markup=False),
        BarColumn(bar_width=16),
        TextColumn("{task.percentage:>3.0f}%", markup=False),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        expand=True,
    )


def _amount(done: int, total: int, seconds: float) -> str:
    """Return how much of how much, and how fast."""
    rate = _native.format_size(int(done / seconds)) if seconds > 0 else "-"
    return f"{_native.format_size(done)} of {_native.format_size(total)}, {rate}/s"


class Display:
    """What a campaign does, case by case and as a whole; nothing, where `is_quiet` is set."""

    def __init__(self, folder: CampaignFolder, *, is_quiet: bool = False) -> None:
        self._title = plain(folder.campaign.name)
        self._is_quiet = is_quiet
        self._bars = _bars() if sys.stderr.isatty() and not is_quiet else None
        self._wanted = sum(case.bytes_moved for case in folder.unfinished())
        # The campaign's is the first.
        self._total, self._task = TaskID(0), TaskID(0)
        self._before = 0
        self._started = self._shown = self._case_started = time.monotonic()
        self._phase = ("", "")
        self._phase_bytes = self._done = 0

    def __enter__(self) -> Display:
        """Begin to show."""
        if self._bars is not None:
            self._bars.start()
            self._total = self._bars.add_task(self._title, total=self._wanted, amount="")
        return self

    def __exit__(self, *_error: object) -> None:
        """Take the bars away."""
        if self._bars is not None:
            self._bars.stop()

    def show(self, event: Event) -> None:
        """Show what happened."""
        if self._is_quiet:
            return
        if isinstance(event, Started):
            self._phase = ("", "")
            self._phase_bytes = self._done = 0
            self._case_started = time.monotonic()
            if self._bars is not None:
                self._task = self._bars.add_task(
                    plain(event.case.name), total=event.case.bytes_moved, amount=""
                )
            else:
                self._line(f"{event.case.name}: started")
        elif isinstance(event, Progressed):
            self._progress(event)
        else:
            self._end(event)

    def _progress(self, event: Progressed) -> None:
        # The proof of a collective write is not counted among what is moved.
        # A test moves the file several times: what it has done stays done.
        if (event.step, event.operation) != self._phase or event.bytes < self._phase_bytes:
            self._phase = (event.step, event.operation)
            names = event.case.step_names
            before = names.index(event.step) if event.step in names else 0
            all_before = sum(event.case.step_bytes[:before])
            self._done = max(self._done + self._phase_bytes, all_before)
        self._phase_bytes = event.bytes if event.operation in ("write", "read", "verify") else 0
        done = min(self._done + self._phase_bytes, event.case.bytes_moved)
        all_done = self._before + done
        if self._bars is not None:
            self._bars.update(
                self._task,
                completed=done,
                description=plain(f"{event.case.name} {event.operation}"),
                amount=_amount(event.bytes, event.total_bytes, event.seconds),
            )
            self._show_total(self._bars, all_done)
            return
        now = time.monotonic()
        if now - self._shown < LINE_SECONDS:
            return
        self._shown = now
        share = 100 * event.bytes // max(1, event.total_bytes)
        rate = event.bytes / event.seconds if event.seconds else 0
        speed = all_done / (now - self._started)
        left = (self._wanted - all_done) / speed if speed else 0
        self._line(
            f"{event.case.name}: {event.operation} {share}%, "
            f"{_native.format_size(int(rate))}/s; campaign "
            f"{_native.format_size(all_done)} of {_native.format_size(self._wanted)}, "
            f"{left:.0f} s left"
        )

    def _end(self, event: Ended) -> None:
        if event.was_done:
            self._line(f"{event.case.name}: was done before")
            return
        self._before += event.case.bytes_moved
        seconds = time.monotonic() - self._case_started
        reason = f": {event.message}" if event.message else ""
        style = "" if event.state is State.DONE else "red"
        self._line(f"{event.case.name}: {event.state} after {seconds:.1f} s{reason}", style)
        if self._bars is not None:
            if self._task != self._total:
                self._bars.remove_task(self._task)
            self._task = self._total
            self._show_total(self._bars, self._before)

    def _show_total(self, bars: Progress, done: int) -> None:
        amount = _amount(done, self._wanted, time.monotonic() - self._started)
        bars.update(self._total, completed=done, amount=amount)

    def _line(self, text: str, style: str = "") -> None:
        if self._bars is not None:
            self._bars.console.print(Text(plain(text), style))
        else:
            print(f"dgen: {plain(text)}", file=sys.stderr, flush=True)


@contextmanager
def progress_of(title: str, *, is_quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show progress of one thing: yields what is called with the bytes done and all bytes."""
    if is_quiet or not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    with _bars() as bars:
        task = bars.add_task(plain(title), total=None, amount="")
        started = time.monotonic()
        yield lambda done, total: bars.update(
            task,
            completed=done,
            total=total,
            amount=_amount(done, total, time.monotonic() - started),
        )
