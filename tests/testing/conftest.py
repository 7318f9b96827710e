"""Checks without those that start a process, which have their own tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchbd.testing.check import CHECKS  # not above: pytest loads this file in every session

    kept = [check for check in CHECKS if not check.apart]
    monkeypatch.setattr("benchbd.testing.runner.CHECKS", kept)
