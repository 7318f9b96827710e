"""Checks without those that start a process, which have their own tests."""

from __future__ import annotations

import pytest

from benchbd.testing.check import CHECKS


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [check for check in CHECKS if not check.apart]
    monkeypatch.setattr("benchbd.testing.runner.CHECKS", kept)
