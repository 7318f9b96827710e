"""Progress for whoever watches."""

from __future__ import annotations

import time

import pytest
from torch import nn

from benchbd.engine import progress
from benchbd.engine.progress import call_after_epochs, epoch_done, report_progress, track


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Reports of a clock that moves by one second whenever it is read."""
    ticks = iter(range(1, 1000))
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    return []


def collect(reports: list[tuple[str, int, int]]) -> progress.Report:
    return lambda what, done, total: reports.append((what, done, total))


def test_steps_pass_through_with_and_without_a_watcher(reports: list[tuple[str, int, int]]) -> None:
    assert list(track([3, 1, 2], "work")) == [3, 1, 2]
    assert reports == []
    with report_progress(collect(reports)):
        assert list(track([3, 1, 2], "work")) == [3, 1, 2]
    assert reports == [
        ("work", 0, 3),
        ("work", 1, 3),
        ("work", 2, 3),
        ("work", 3, 3),
        ("work", 3, 3),
    ]
    assert list(track([1], "after")) == [1]
    assert reports[-1][0] == "work"


def test_reports_are_few(
    reports: list[tuple[str, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 0.05)
    with report_progress(collect(reports)):
        list(track(range(10_000), "work"))
    assert reports == [("work", 0, 10_000), ("work", 10_000, 10_000)]


def test_an_unknown_total(reports: list[tuple[str, int, int]]) -> None:
    with report_progress(collect(reports)):
        list(track((step for step in range(2)), "work"))
        list(track(iter("ab"), "more", total=2))
    assert reports[0] == ("work", 0, 0)
    assert reports[3] == ("work", 2, 2)
    assert reports[4] == ("more", 0, 2)


def test_epochs_reach_the_innermost_watcher_only() -> None:
    heard: list[tuple[str, int]] = []
    model = nn.Identity()
    epoch_done(model, 1)
    with call_after_epochs(lambda _, epochs: heard.append(("outer", epochs))):
        epoch_done(model, 2)
        with call_after_epochs(None):
            epoch_done(model, 3)
        epoch_done(model, 4)
    epoch_done(model, 5)
    assert heard == [("outer", 2), ("outer", 4)]
