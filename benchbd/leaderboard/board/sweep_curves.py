"""The curves of a sweep: ACC, ASR and RC along its axis, the area under ASR, and where a defense
breaks.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchbd.leaderboard.board.interval import Summary, summarise
from benchbd.record.cell import Cell

BROKEN_ASR = 0.2
"""ASR from which on a defense counts as broken."""

BROKEN_DROP = 0.05
"""Drop of ACC, as a share, from which on a defense counts as broken."""


@dataclass(frozen=True)
class SweepPoint:
    """What was measured at one value, over seeds; None where nothing was. drop: mean drop of ACC
    against the undefended model.
    """

    value: str
    acc: Summary | None
    asr: Summary | None
    rc: Summary | None
    drop: float | None

    @property
    def broken(self) -> bool:
        """Whether ASR is above `BROKEN_ASR` or ACC has dropped by more than `BROKEN_DROP`."""
        return bool(
            (self.asr is not None and self.asr.mean > BROKEN_ASR)
            or (self.drop is not None and self.drop > BROKEN_DROP)
        )


@dataclass(frozen=True)
class SweepCurve:
    """One attack with one defense along an axis. numbers: the values as numbers, None where they
    are words.
    """

    attack: str
    defense: str
    points: tuple[SweepPoint, ...]
    numbers: tuple[float, ...] | None

    def area(self) -> float | None:
        """Return the mean of ASR along the axis: by trapezoids where its values are numbers, else
        over its values. None where ASR is missing at a value.
        """
        heights = [point.asr.mean for point in self.points if point.asr is not None]
        if len(heights) < len(self.points) or not heights:
            return None
        if self.numbers is None or len(heights) == 1:
            return statistics.fmean(heights)
        pairs = sorted(zip(self.numbers, heights, strict=True))
        total = sum(
            (right - left) * (low + high) / 2
            for (left, low), (right, high) in itertools.pairwise(pairs)
        )
        return total / (pairs[-1][0] - pairs[0][0])

    def breaks_at(self) -> str | None:
        """Return the first value, in the order in which they were given, at which the defense is
        broken; None where it holds at all of them.
        """
        return next((point.value for point in self.points if point.broken), None)


def sweep_curves(
    values: Sequence[str], cells: Sequence[Sequence[Cell]], numbers: tuple[float, ...] | None
) -> list[SweepCurve]:
    """Return a curve for each attack and defense, from the cells at each value."""
    names = dict.fromkeys(_names(cell) for group in cells for cell in group)
    return [
        SweepCurve(
            attack,
            defense,
            tuple(
                _point(value, [cell for cell in group if _names(cell) == (attack, defense)])
                for value, group in zip(values, cells, strict=True)
            ),
            numbers,
        )
        for attack, defense in names
    ]


def _names(cell: Cell) -> tuple[str, str]:
    return cell.cell.attack.label, cell.cell.defense.label


def _point(value: str, cells: Sequence[Cell]) -> SweepPoint:
    ordered = sorted(cells, key=lambda cell: cell.cell.seed)
    measured = [(cell.metrics, cell.baseline) for cell in ordered if cell.metrics is not None]
    drops = [base.acc - metrics.acc for metrics, base in measured if base is not None]
    return SweepPoint(
        value,
        summarise([metrics.acc for metrics, _ in measured]),
        summarise([metrics.asr for metrics, _ in measured if metrics.asr is not None]),
        summarise([metrics.rc for metrics, _ in measured if metrics.rc is not None]),
        statistics.fmean(drops) if drops else None,
    )
