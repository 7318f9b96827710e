"""The area under ASR along an axis, and where a defense breaks, by hand."""

from __future__ import annotations

import pytest

from benchbd.leaderboard.board.interval import summarise
from benchbd.leaderboard.board.sweep_curves import SweepCurve, SweepPoint, sweep_curves
from support.made_cells import make_cell


def point(value: str, asr: float | None, drop: float = 0.0) -> SweepPoint:
    found = None if asr is None else summarise([asr])
    return SweepPoint(value, summarise([0.9]), found, summarise([0.0]), drop)


def test_the_area_goes_by_trapezoids_over_numbers() -> None:
    """(0.1 - 0) * (0 + 1) / 2 + (0.5 - 0.1) * (1 + 0.5) / 2, over a width of 0.5."""
    points = (point("0", 0.0), point("0.1", 1.0), point("0.5", 0.5))
    curve = SweepCurve("badnet", "ft", points, (0.0, 0.1, 0.5))
    assert curve.area() == pytest.approx((0.05 + 0.3) / 0.5)


def test_over_words_it_is_their_mean() -> None:
    curve = SweepCurve("badnet", "ft", (point("a", 0.2), point("b", 0.6)), None)
    assert curve.area() == pytest.approx(0.4)


def test_without_a_value_there_is_no_area() -> None:
    assert SweepCurve("badnet", "ft", (point("a", 0.2), point("b", None)), None).area() is None


def test_a_defense_breaks_by_its_asr_or_by_what_it_costs() -> None:
    holds = point("1", 0.2, 0.05)
    assert SweepCurve("x", "y", (holds,), None).breaks_at() is None
    assert SweepCurve("x", "y", (holds, point("2", 0.21)), None).breaks_at() == "2"
    assert SweepCurve("x", "y", (holds, point("3", 0.0, 0.06)), None).breaks_at() == "3"


def test_cells_are_put_together_by_attack_and_defense_over_seeds() -> None:
    first = [make_cell("badnet", "ft", seed=seed) for seed in (0, 1, 2)]
    second = [make_cell("badnet", "ft", seed=0), make_cell("badnet", "clp", seed=0)]
    ft, clp = sweep_curves(("0.01", "0.1"), [first, second], (0.01, 0.1))
    assert (ft.defense, clp.defense) == ("ft", "clp")
    counted = [0 if p.acc is None else len(p.acc.values) for p in ft.points]
    assert counted == [3, 1]
    assert clp.points[0].acc is None, "nothing was measured there"
    assert ft.points[0].acc is not None and ft.points[0].acc.low is not None
