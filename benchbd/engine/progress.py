"""Progress and measurements along the way, reported to whoever watches; the work does not know who
does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from torch import nn

Report = Callable[[str, int, int], None]
"""(what, done, total): called a few times a second."""

AfterEpoch = Callable[[nn.Module, int], None]
"""(model, epochs done): measures a model on the way; what it finds never returns to the method."""

T = TypeVar("T")
_report: ContextVar[Report | None] = ContextVar("report", default=None)
_after_epoch: ContextVar[AfterEpoch | None] = ContextVar("after_epoch", default=None)
_PAUSE = 0.1


def track(steps: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Pass through `steps`, and show how many of them are done under the name `what`.

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
        if (now := time.monotonic()) - last >= _PAUSE:
            report(what, done, total)
            last = now
    report(what, done, max(total, done))


def epoch_done(model: nn.Module, epochs: int) -> None:
    """Say that `model` has been trained for so many epochs, so that it can be measured on the way.
    `fit` says so itself; a training loop of a method's own calls this after each epoch.

    >>> for epoch in range(2):
    ...     epoch_done(model, epoch + 1)
    """
    watcher = _after_epoch.get()
    if watcher is not None:
        watcher(model, epochs)


@contextmanager
def reporting(report: Report | None) -> Iterator[None]:
    """Inside, what `track` passes through is reported to `report`; None reports to nobody."""
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)


@contextmanager
def watching(after_epoch: AfterEpoch | None) -> Iterator[None]:
    """Inside, `after_epoch` is called whenever a model has been trained for an epoch; None watches
    nothing.
    """
    token = _after_epoch.set(after_epoch)
    try:
        yield
    finally:
        _after_epoch.reset(token)
