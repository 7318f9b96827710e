"""A stage under guard is waited for to its end, and one session serves several."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchbd.executing.executor import Limits
from benchbd.executing.stage import Ended
from benchbd_zoo.executor.parts import guarded_stage
from benchbd_zoo.executor.parts.guarded_stage import run_guarded


class Slow:
    """A session whose stages end when they have been asked after three times."""

    def __init__(self) -> None:
        self.started: list[Path] = []
        self.asked = 0

    def start(self, spec: Path) -> int:
        self.started.append(spec)
        self.asked = 0
        return len(self.started)

    def ended(self, stage: int) -> Ended | None:
        self.asked += 1
        return Ended(code="ok") if self.asked == 3 else None


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Slow]]:
    """Those that are opened."""
    opened: list[Slow] = []

    class Local:
        def __init__(self, workers: int) -> None:
            assert workers == 1

        def open(self, limits: Limits) -> Slow:
            opened.append(Slow())
            return opened[-1]

    monkeypatch.setattr(guarded_stage, "Local", Local)
    monkeypatch.setattr(guarded_stage, "PAUSE", 0)
    guarded_stage._session.cache_clear()
    yield opened
    guarded_stage._session.cache_clear()


def test_it_is_waited_for(sessions: list[Slow], tmp_path: Path) -> None:
    assert run_guarded(tmp_path / "a", Limits()) == Ended(code="ok")
    assert sessions[0].asked == 3


def test_one_session_serves_all_stages_of_the_same_gpus_and_limits(
    sessions: list[Slow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for gpus, limits in (
        ("0", Limits()),
        ("0", Limits()),
        ("1", Limits()),
        ("1", Limits(threads=2)),
    ):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
        run_guarded(tmp_path / "a", limits)
    assert [len(session.started) for session in sessions] == [2, 1, 1]
