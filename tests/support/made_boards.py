"""Boards of made-up cells, and curves for them."""

from __future__ import annotations

from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.contents import Board, Section
from benchbd.leaderboard.board.row import row_of
from benchbd.leaderboard.render.html_page import to_html
from benchbd.leaderboard.render.json_document import document
from benchbd.measure.shares import Curve, CurvePoint
from benchbd.record.cell import Cell
from support.made_cells import make_cell

POINT = CurvePoint(value=0.5, acc=0.9, asr=0.2, rc=0.7)


def of(*cells: Cell) -> Board:
    return board(map(row_of, cells))


def only(found: Board) -> Section:
    (section,) = found.sections
    return section


def curve(count: int, chosen: int | None = None) -> Curve:
    """As many points on the way from 0 to 1, alike but for their place."""
    points = (POINT.model_copy(update={"value": place / count}) for place in range(count))
    return Curve(axis="threshold", chosen=chosen, points=tuple(points))


def with_curves() -> Board:
    """Two attacks against two defenses at three seeds, with a curve of five points in each cell."""
    return of(
        *(
            make_cell(attack, defense, seed, (900, 90 + seed, 720), curves=(curve(5, 2),))
            for attack in "ab"
            for defense in ("x", "y")
            for seed in range(3)
        )
    )


def two_by_two() -> Board:
    """Two attacks against two defenses, the first attack at two seeds; one cell took too long."""
    return of(
        *(make_cell("a", defense, seed) for defense in ("x", "y") for seed in (0, 1)),
        make_cell("b", "x"),
        make_cell("b", "y", code="timeout", reason="slow, =very"),
    )


def page(found: Board) -> str:
    return to_html(found, document(found))
