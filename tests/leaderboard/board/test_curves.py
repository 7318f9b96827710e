"""Curves for the page: thinned, with what was measured and what was chosen."""

from __future__ import annotations

import pytest

from benchbd.leaderboard.board.curves import MAX_CURVE_POINTS, thinned, traces
from benchbd.measure.shares import OperatingPoint
from support.made_boards import curve
from support.made_cells import make_cell


@pytest.mark.parametrize(
    ("count", "chosen"), [(1, None), (60, 7), (61, 33), (512, 511), (513, 100)]
)
def test_long_curves_keep_ends_and_choice(count: int, chosen: int | None) -> None:
    places = thinned(count, chosen)
    assert places[0] == 0 and places[-1] == count - 1
    assert chosen is None or chosen in places
    assert len(places) <= MAX_CURVE_POINTS + 2
    assert list(places) == sorted(set(places))


def test_traces_hold_what_was_measured() -> None:
    kept = OperatingPoint(
        name="last_within", value=0.4, units=3, validation_acc=0.9, acc=0.9, asr=None, rc=None
    )
    (trace,) = traces(make_cell(curves=(curve(4, 3),), operating_points=(kept,)))
    assert (trace.axis, trace.chosen, trace.points[3]) == ("threshold", 3, (0.75, 0.9, 0.2, 0.7))
    assert trace.kept == (("last_within", (0.4, 0.9, None, None)),)


def test_a_curve_whose_choice_is_nowhere_has_none() -> None:
    (trace,) = traces(make_cell(curves=(curve(4, 99),)))
    assert trace.chosen is None
