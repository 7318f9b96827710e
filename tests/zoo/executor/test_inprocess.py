"""Stages in this very process: one at a time, done when they are started."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.executing.executor import Limits
from benchbd.executing.stage import Ended
from benchbd_zoo.executor import inprocess
from benchbd_zoo.executor.inprocess import InProcess


def test_a_stage_is_done_when_it_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Path] = []

    def run(spec: Path) -> Ended:
        ran.append(spec)
        return Ended(code="ok")

    monkeypatch.setattr(inprocess, "run_stage", run)
    session = InProcess().open(Limits())
    assert session.capacity == 1
    handle = session.start(tmp_path / "a.spec.json")
    assert ran == [tmp_path / "a.spec.json"] and session.ended(handle) == Ended(code="ok")
    session.close()
