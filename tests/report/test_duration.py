"""Durations in words."""

from __future__ import annotations

import pytest

from benchbd.report.duration import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "60 min"), (5400, "1.5 h")],
)
def testdurations_are_rounded_to_what_matters(seconds: float, words: str) -> None:
    assert duration(seconds) == words
