"""Curves of a result as the page draws them: shares along a threshold, a step or an epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchbd.leaderboard.board.text import one_line
from benchbd.measure.shares import CurvePoint, OperatingPoint
from benchbd.record.cell import Cell

MAX_CURVE_POINTS = 60
"""The most points of a curve that are kept. Of a longer curve every second or third point is kept,
and so on, and those that were chosen.
"""
MOST_CURVES = 4
CURVE_DIGITS = 4


@dataclass(frozen=True, slots=True)
class ThinnedCurve:
    """One curve. `points`: the place on the axis, ACC, ASR and RC of each point that is kept.
    `chosen`: the number of the point that was reported. `kept`: the same four figures of models
    that were stored beside the reported one, by name.
    """

    name: str
    axis: str
    split: str
    points: tuple[tuple[float | None, ...], ...]
    chosen: int | None
    kept: tuple[tuple[str, tuple[float | None, ...]], ...] = ()


def traces(cell: Cell) -> tuple[ThinnedCurve, ...]:
    """Return the curves of a cell that have something to draw; operating points go with the
    first.
    """
    found: list[ThinnedCurve] = []
    for curve in cell.curves[:MOST_CURVES]:
        last = len(curve.points) - 1
        chosen = curve.chosen if curve.chosen is not None and 0 <= curve.chosen <= last else None
        places = thinned(len(curve.points), chosen)
        if places and all(math.isfinite(curve.points[place].value) for place in places):
            points = tuple(_figures(curve.points[place]) for place in places)
            kept = tuple(
                (one_line(p.name, 40), _figures(p)) for p in cell.operating_points[:9] if not found
            )
            where = places.index(chosen) if chosen is not None else None
            found.append(
                ThinnedCurve(
                    one_line(curve.name, 40),
                    one_line(curve.axis, 40),
                    one_line(curve.split, 40),
                    points,
                    where,
                    kept,
                )
            )
    return tuple(found)


def thinned(count: int, chosen: int | None) -> Sequence[int]:
    """Return the places of about `MAX_CURVE_POINTS` of `count` points, evenly spread, with the
    first, the last and the chosen ones among them.
    """
    if not count:
        return ()
    wanted = {*range(0, count, max(1, math.ceil(count / MAX_CURVE_POINTS))), count - 1}
    return sorted(wanted if chosen is None else wanted | {chosen})


def _figures(point: CurvePoint | OperatingPoint) -> tuple[float | None, ...]:
    figures = (point.value, point.acc, point.asr, point.rc)
    return tuple(
        None if figure is None or not math.isfinite(figure) else round(figure, CURVE_DIGITS)
        for figure in figures
    )
