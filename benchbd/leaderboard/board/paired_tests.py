"""Paired tests between two defenses, and the ranks that they leave open.

Over attacks: the exact sign-flip permutation test of the mean difference (Fisher 1935), two-sided.
If two defenses were alike, each attack's difference could as well have had the other sign; p is the
share of all 2^n sign patterns whose sum lies at least as far from zero. With n attacks no p is
below 2^(1 - n). Over many pairs: Holm's step-down correction (Holm 1979). From all pairs: sets of
ranks (Mogstad, Romano, Shaikh and Wilhelm 2024, "Inference for Ranks", Review of Economic Studies
91). Inside one attack: McNemar's exact test on the images that only one of the two got right
(McNemar 1947).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy
from scipy import stats

ALPHA = 0.05
GRID = 10_000
"""Steps per unit of a share. Differences are counted in hundredths of a percentage point, so that
the sums of all sign patterns can be counted together.
"""

Pair = tuple[str, str]
Ranks = tuple[int, int]
"""The best and the worst rank that the tests leave open."""


def sign_flip(differences: Sequence[float]) -> float:
    """Return the two-sided p of differences (n,), one per attack.

    A pattern's sum is `total - 2 * flipped`, where `flipped` is the size of what is turned
    negative. So the patterns at least as extreme as the observed one are those that flip at most
    `(total - observed) / 2`, and their mirror images. `chance` (reach + 1,) is the distribution of
    `flipped` up to there, computed one attack after another.
    """
    steps = numpy.rint(numpy.asarray(differences, dtype=float) * GRID).astype(int)
    sizes = numpy.sort(numpy.abs(steps[steps != 0]))
    reach = int(sizes.sum() - abs(steps.sum())) // 2
    chance = numpy.zeros(reach + 1)
    chance[0] = 1.0
    for size in sizes:
        chance /= 2
        if size <= reach:
            chance[size:] += chance[: reach + 1 - size].copy()
    return min(1.0, 2 * float(chance.sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p, in the order given: the k-th smallest of m times m - k, never less
    than the one before.
    """
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = running
    return adjusted


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided exact p from the two counts of images on which the methods disagree."""
    disagreements = only_first + only_second
    return float(stats.binomtest(only_first, disagreements).pvalue) if disagreements else 1.0


def rank_sets(names: Sequence[str], adjusted: Mapping[Pair, float]) -> dict[str, Ranks]:
    """Return the ranks that each name may have: after all that are shown to be better, and before
    all that are shown to be worse.

    `adjusted` holds the p of every pair (better, worse).
    """
    shown = [pair for pair, p in adjusted.items() if p < ALPHA]
    above, below = (Counter(pair[place] for pair in shown) for place in (1, 0))
    return {name: (1 + above[name], len(names) - below[name]) for name in names}
