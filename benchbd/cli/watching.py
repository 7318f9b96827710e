"""The progress that a person sees: a bar with rate and remaining time on a terminal, and a line
from time to time elsewhere.
"""

from __future__ import annotations

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from benchbd.plugin.hooks import hookimpl

PROGRESS_PAUSE_SECONDS = 30.0
"""Least number of seconds between two lines of progress."""


class _Rate(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="dim")


class ProgressView:
    """An observer that shows progress on stderr and remembers which files were written."""

    def __init__(self, silent: bool = False, verbose: bool = False) -> None:
        """Prepare the display. silent: show nothing. verbose: print a line for every step of
        progress, on a terminal too.
        """
        self.files: list[str] = []
        self._shows_lines = not silent and (verbose or not sys.stderr.isatty())
        self._pause_seconds = 0.0 if verbose else PROGRESS_PAUSE_SECONDS
        self._console = Console(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=self._console,
            disable=silent or not sys.stderr.isatty(),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, line: str) -> None:
        """Print a line, if no progress bars are shown."""
        if self._shows_lines:
            self._console.print(line, markup=False, soft_wrap=True)
            self._told = time.monotonic()

    @hookimpl
    def stage_progress(self, what: str, done: int, total: int) -> None:
        if time.monotonic() - self._told >= self._pause_seconds:
            self.say(f"{what}: {done}/{total}" if total else f"{what}: {done}")
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total or None)
        self._bars.update(self._tasks[what], completed=done)
        if total and done >= total:
            self._bars.remove_task(self._tasks.pop(what))

    @hookimpl
    def cell_started(self, attack: str, defense: str, seed: int) -> None:
        self.say(f"{attack}: {defense}, seed {seed}")

    @hookimpl
    def file_written(self, path: str) -> None:
        self.files.append(path)
