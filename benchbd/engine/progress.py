"""Progress and measurements during a piece of work, reported to whoever has registered. The work
itself does not know who that is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from torch import nn

Report = Callable[[str, int, int], None]
"""A function (what, done, total) that is called a few times a second."""

AfterEpoch = Callable[[nn.Module, int], None]
"""A function (model, epochs done) that measures a model during training. Its findings never return
to the method.
"""

T = TypeVar("T")
_report: ContextVar[Report | None] = ContextVar("report", default=None)
_after_epoch: ContextVar[AfterEpoch | None] = ContextVar("after_epoch", default=None)
_REPORT_PAUSE_SECONDS = 0.1


def track(steps: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield the `steps`, and report how many of them are done under the name `what`.

    total: the number of steps, where `steps` has no length.

    >>> [2 * step for step in track(range(3), "doubling")]
    [0, 2, 4]
    """
    report = _report.get()
    if report is None:
        yield from steps
        return
    if total is None:
        total = len(steps) if isinstance(steps, Sized) else 0
    done, last = 0, 0.0
    report(what, 0, total)
    for step in steps:
        yield step
        done += 1
        if (now := time.monotonic()) - last >= _REPORT_PAUSE_SECONDS:
            report(what, done, total)
            last = now
    report(what, done, max(total, done))


def epoch_done(model: nn.Module, epochs: int) -> None:
    """Report that `model` has been trained for so many epochs, so that it can be measured during
    training.

    `fit` does so itself; a training loop of a method's own calls this after each epoch.

    >>> for epoch in range(2):
    ...     epoch_done(model, epoch + 1)
    """
    watcher = _after_epoch.get()
    if watcher is not None:
        watcher(model, epochs)


@contextmanager
def report_progress(report: Report | None) -> Iterator[None]:
    """Pass the progress of `track` inside the block to `report`; None passes it to nobody."""
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)


@contextmanager
def call_after_epochs(after_epoch: AfterEpoch | None) -> Iterator[None]:
    """Call `after_epoch` inside the block whenever a model has been trained for an epoch; None
    calls nothing.
    """
    token = _after_epoch.set(after_epoch)
    try:
        yield
    finally:
        _after_epoch.reset(token)
