"""Summaries of a share over a few seeds: the mean, and an interval where there is an honest one.

    one seed      Wilson's score interval of the images that were counted (Wilson 1927)
    two seeds     both values and no interval: two numbers do not tell their own spread
    three, more   Student's t interval of the mean over seeds, clipped to [0, 1]

The first speaks of other test images for this one model, the last of other seeds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from scipy import stats

CONFIDENCE = 0.95
FEWEST_SEEDS = 3
"""Seeds that an interval over seeds needs: two values say nothing about their own spread."""

STORED_DIGITS = 6
"""Digits behind the point of everything that is written. More of them would show differences of
rounding between libraries.
"""


@dataclass(frozen=True, slots=True)
class Summary:
    """One figure over seeds. `values` stand in the order of the seeds; `low` and `high` are None
    without an interval.
    """

    values: tuple[float, ...]
    mean: float
    low: float | None = None
    high: float | None = None


def summarise(values: Sequence[float], hits: tuple[int, int] | None = None) -> Summary | None:
    """Return the summary of shares in [0, 1], one per seed. `hits`: the count and the total of the
    only seed, from which its interval is computed.
    """
    if not values:
        return None
    bounds: tuple[float, float] | None = None
    if len(values) == 1 and hits is not None:
        bounds = wilson(*hits)
    elif len(values) >= FEWEST_SEEDS:
        bounds = student(values)
    low, high = (None, None) if bounds is None else (tidy(bounds[0]), tidy(bounds[1]))
    return Summary(
        tuple(tidy(value) for value in values), tidy(statistics.fmean(values)), low, high
    )


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Return Wilson's score interval of a share, from counts."""
    bounds = stats.binomtest(hits, total).proportion_ci(CONFIDENCE, method="wilson")
    return float(bounds.low), float(bounds.high)


def student(values: Sequence[float]) -> tuple[float, float]:
    """Return Student's t interval of the mean of shares, clipped to [0, 1]. Seeds that agree give
    an interval of no width.
    """
    mean = statistics.fmean(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    half = _quantile(len(values) - 1) * math.sqrt(variance / len(values))
    return max(0.0, mean - half), min(1.0, mean + half)


def tidy(value: float) -> float:
    """Return a number rounded for writing, and never minus zero."""
    return round(value, STORED_DIGITS) + 0.0


@cache
def _quantile(freedom: int) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))
