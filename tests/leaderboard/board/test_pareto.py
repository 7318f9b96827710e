"""The Pareto front against its definition, point by point."""

from __future__ import annotations

import random

import pytest

from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.pareto import ParetoPoint, front
from benchbd.leaderboard.board.row import row_of
from support.made_cells import CellCost, make_cell


def by_definition(points: dict[str, ParetoPoint]) -> set[str]:
    """Names that no other point is at least as good as in both figures and better than in one."""

    def beats(other: ParetoPoint, point: ParetoPoint) -> bool:
        return other[0] <= point[0] and other[1] <= point[1] and other != point

    return {
        name
        for name, point in points.items()
        if not any(beats(other, point) for other in points.values())
    }


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_nothing_beats(seed: int) -> None:
    rng = random.Random(seed)
    points = {
        f"p{place}": (rng.randrange(8) / 8, rng.randrange(8) / 8)
        for place in range(rng.randrange(1, 25))
    }
    found = front(points)
    assert set(found) == by_definition(points)
    assert [points[name] for name in found] == sorted(points[name] for name in found)


def test_no_points_no_front() -> None:
    assert front({}) == ()


def test_fronts_are_of_complete_rows_that_are_no_oracles() -> None:
    cells = [
        make_cell("a", "good", hits=(900, 90, 0), cost=CellCost(defense_seconds=9)),
        make_cell("b", "good", hits=(900, 90, 0), cost=CellCost(defense_seconds=9)),
        make_cell("a", "quick", hits=(900, 180, 0), cost=CellCost(defense_seconds=1)),
        make_cell("b", "quick", hits=(900, 180, 0), cost=CellCost(defense_seconds=1)),
        make_cell("a", "part", hits=(990, 0, 0)),
        make_cell("a", "knows", hits=(999, 0, 0), oracle=True),
        make_cell("b", "knows", hits=(999, 0, 0), oracle=True),
    ]
    fronts = board(map(row_of, cells)).sections[0].fronts
    assert fronts[""] == {"acc": ("good",), "seconds": ("quick", "good")}
    assert fronts["a"]["acc"] == ("part",)
    assert fronts["b"] == {"acc": ("good",), "seconds": ("quick", "good")}
