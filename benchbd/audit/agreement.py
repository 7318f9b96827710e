"""The rule by which a cell that was made again agrees with the stored one, or does not.

On one kind of processor the same seed gives the same bits, with the same version of torch and as
many threads; so there every prediction must be the same. Another kind of processor adds in another
order, and from the same seed comes another network, as from another seed. There ACC, ASR and RC
must lie in the 95 % prediction interval of the stored seeds: where a network of one more seed would
lie (Student's t: mean +- t s sqrt(1 + 1/n)).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scipy import stats

from benchbd.leaderboard.board.interval import CONFIDENCE, FEWEST_SEEDS
from benchbd.measure.shares import percent
from benchbd.measure.siblings import COMPARED_METRICS
from benchbd.record.cell import Cell


@dataclass(frozen=True)
class Agreement:
    """The judgement on a cell that was made again. agrees: whether it agrees with the stored one.
    exact: whether every single prediction was compared. verdict: the judgement in words.
    """

    agrees: bool
    exact: bool
    verdict: str


def same_kind(stored: Cell, here: Cell) -> bool:
    """Return whether both were made where the same seed gives the same bits. A result that does not
    name its processor was made on an unknown one.
    """
    known = bool(stored.provenance.get("processor"))
    deterministic = stored.flags.deterministic and here.flags.deterministic
    return known and deterministic and _where(stored) == _where(here)


def _where(cell: Cell) -> tuple[object, ...]:
    noted, libraries = cell.provenance, cell.provenance.get("libraries")
    torch = libraries.get("torch") if isinstance(libraries, dict) else None
    named = (noted.get(name) for name in ("processor", "instructions", "threads"))
    return (*named, torch, cell.cost.device, cell.cost.precision)


def judge(
    stored: Cell, here: Cell, differing: int | None, siblings: Sequence[Cell], tolerance: float
) -> Agreement:
    """Hold a cell that was made again against the stored one.

    differing: of how many images the predictions differ; None where they are not stored. siblings:
    the stored cells of all seeds, `stored` among them. tolerance: a share by which the interval is
    widened at both ends, because seeds with equal values give an interval without any width.
    """
    if differing == 0 and _shares(stored) == _shares(here):
        return Agreement(True, True, "reproduced, prediction by prediction")
    if differing == 0:
        return Agreement(
            False,
            True,
            "not reproduced: every prediction is the same, but ACC, ASR or RC that it states are "
            "not what they give; `benchbd verify` it",
        )
    if same_kind(stored, here) and differing is not None:
        return Agreement(
            False,
            True,
            f"not reproduced: the predictions of {differing} images differ, and on the same kind "
            "of processor none may",
        )
    allowed = {
        name: bounds
        for name in COMPARED_METRICS
        if (bounds := _bounds(stored, siblings, name, tolerance)) is not None
    }
    return _within(here, allowed, len(siblings))


def _shares(cell: Cell) -> tuple[float | None, ...]:
    return tuple(getattr(cell.metrics, name) for name in COMPARED_METRICS)


def _bounds(
    stored: Cell, siblings: Sequence[Cell], name: str, tolerance: float
) -> tuple[float, float] | None:
    """Return where a metric may lie; None for one that was not measured."""
    own = getattr(stored.metrics, name)
    if own is None:
        return None
    values = [
        value for cell in siblings if (value := getattr(cell.metrics, name, None)) is not None
    ]
    low, high = prediction_interval(values) if len(values) >= FEWEST_SEEDS else (own, own)
    return max(0.0, low - tolerance), min(1.0, high + tolerance)


def prediction_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the two ends between which one more value would lie with 95 % confidence, if all
    values come from one normal distribution.
    """
    count = len(values)
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))
    half = quantile * statistics.stdev(values) * math.sqrt(1 + 1 / count)
    mean = statistics.fmean(values)
    return mean - half, mean + half


def _within(here: Cell, allowed: dict[str, tuple[float, float]], seeds: int) -> Agreement:
    source = (
        f"the 95 % interval of {seeds} seeds"
        if seeds >= FEWEST_SEEDS
        else "the tolerance, for there are too few seeds for an interval"
    )
    outside = list(_outside(here, allowed))
    ranges = ", ".join(
        f"{name.upper()} {percent(low)} to {percent(high)}" for name, (low, high) in allowed.items()
    )
    if outside:
        return Agreement(
            False, False, f"not reproduced: {', '.join(outside)} outside of {source} ({ranges})"
        )
    return Agreement(
        True, False, f"reproduced within {source} ({ranges}), not prediction by prediction"
    )


def _outside(here: Cell, allowed: dict[str, tuple[float, float]]) -> Iterator[str]:
    for name, (low, high) in allowed.items():
        value = getattr(here.metrics, name)
        if value is None or not low <= value <= high:
            yield f"{name.upper()} {percent(value)}"
