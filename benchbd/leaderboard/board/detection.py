"""The figures of a defense as a detector, over the attacked and the healthy models of one table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from benchbd.leaderboard.board.interval import tidy
from benchbd.leaderboard.board.row import Row

DETECTION_FIGURES = ("auroc", "tpr_at_1_fpr", "tpr_at_5_fpr", "tpr", "fpr")
"""Figures of a detector inside one attacked model, in the order of the tables."""


@dataclass(frozen=True, slots=True)
class DetectionSummary:
    """Means over `models` of the `attacked` models, and `clean_fpr`: how often it is alarmed by
    what is healthy.

    For a detector of samples or inputs these are shares of samples; for a detector of models, which
    gives one verdict per model, shares of models: an attacked model counts for `tpr` only where a
    class is flagged that is attacked. `auroc` ranks the attacked models against the healthy ones by
    their highest scores, and `balanced` is the mean of the shares of both that are told right.
    """

    auroc: float | None
    tpr_at_1_fpr: float | None
    tpr_at_5_fpr: float | None
    tpr: float | None
    fpr: float | None
    clean_fpr: float | None
    clean_models: int
    models: int
    attacked: int
    balanced: float | None = None


def summarise_detection(
    attacked: Sequence[Row], healthy: Sequence[Row], expected: int
) -> DetectionSummary | None:
    """Return the summary over the cells of one defense; None for one that detects nothing.
    expected: the number of attacked models in the table.
    """
    if not any(row.detection for row in [*attacked, *healthy]):
        return None
    figures = {name: mean_of(attacked, name) for name in DETECTION_FIGURES}
    if any("flagged" in row.detection for row in [*attacked, *healthy]):
        figures |= {
            "tpr": mean_of(attacked, "named"),
            "fpr": None,
            "auroc": _auroc(attacked, healthy),
        }
        clean_fpr = mean_of(healthy, "flagged")
        figures["balanced"] = _balanced(figures["tpr"], clean_fpr)
    else:
        clean_fpr = mean_of(healthy, "fpr")
    models, clean_models = (
        sum(bool(row.detection) for row in rows) for rows in (attacked, healthy)
    )
    return DetectionSummary(
        **figures, clean_fpr=clean_fpr, clean_models=clean_models, models=models, attacked=expected
    )


def _balanced(tpr: float | None, fpr: float | None) -> float | None:
    return tidy((tpr + 1 - fpr) / 2) if tpr is not None and fpr is not None else None


def mean_of(rows: Sequence[Row], name: str) -> float | None:
    """Return the mean of the detection figure `name` over the rows that have it; None where none
    has.
    """
    values = [row.detection[name] for row in rows if name in row.detection]
    return tidy(statistics.fmean(values)) if values else None


def _auroc(attacked: Sequence[Row], healthy: Sequence[Row]) -> float | None:
    bad, good = (
        [row.detection["highest"] for row in rows if "highest" in row.detection]
        for rows in (attacked, healthy)
    )
    if not bad or not good:
        return None
    return tidy(float(stats.mannwhitneyu(bad, good).statistic) / (len(bad) * len(good)))
