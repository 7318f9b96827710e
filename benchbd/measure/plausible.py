"""Doubts about a result: sentences about findings that most often mean that something went wrong. A
doubt is never a verdict.

Shares are compared with chance by the normal approximation of the binomial distribution: a share is
near an expected one when it lies within three standard deviations of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from benchbd.measure.shares import Counts, Metrics, percent

PLAUSIBLE_DEVIATIONS = 3.0
HIGH_ASR = 0.2
"""ASR above which the mistakes of a model that nobody attacked are no longer ordinary ones."""

ONE_CLASS_SHARE = 0.95
"""If one class has a larger share of the predictions than this, the model is said to predict
nothing else.
"""


def doubts(
    metrics: Metrics,
    counts: Counts,
    baseline: Metrics,
    num_classes: int,
    attacked: bool,
    predictions: Tensor,
) -> tuple[str, ...]:
    """Return the doubts about a defended model, and about the undefended model that it was made
    from.

    baseline: the metrics of the undefended model. attacked: whether anything was poisoned.
    predictions: the predicted classes (N,) of the clean test images.
    """
    found = [
        *_of_attack(baseline, counts, num_classes, attacked),
        *_of_defense(metrics, counts, num_classes, predictions),
    ]
    return tuple(found)


def _of_attack(
    baseline: Metrics, counts: Counts, num_classes: int, attacked: bool
) -> Iterator[str]:
    if _near(baseline.acc, 1 / num_classes, counts.clean):
        yield (
            f"the undefended model's ACC of {percent(baseline.acc)} % is that of guessing; it has "
            "learned nothing"
        )
    if baseline.asr is None or not counts.triggered:
        return
    mistaken = (1 - baseline.acc) / (num_classes - 1)
    if attacked and _near(baseline.asr, mistaken, counts.triggered):
        yield (
            f"the attack did not take: ASR {percent(baseline.asr)} % is what ordinary mistakes give"
        )
    if not attacked and baseline.asr > HIGH_ASR:
        yield f"ASR {percent(baseline.asr)} % on a model that nobody attacked"


def _of_defense(
    metrics: Metrics, counts: Counts, num_classes: int, predictions: Tensor
) -> Iterator[str]:
    if _near(metrics.acc, 1 / num_classes, counts.clean):
        yield f"the defended model's ACC of {percent(metrics.acc)} % is that of guessing"
    if (
        len(predictions)
        and float(torch.bincount(predictions.long()).max()) / len(predictions) > ONE_CLASS_SHARE
    ):
        yield (
            "the defended model predicts one class for nearly everything, so that its ASR means "
            "nothing"
        )
    if metrics.rc is not None and metrics.rc > metrics.acc + _spread(metrics.acc, counts.triggered):
        yield (
            f"RC {percent(metrics.rc)} % exceeds ACC {percent(metrics.acc)} %: triggered images "
            "are easier than clean ones"
        )


def _near(share: float, expected: float, count: int) -> bool:
    return share <= expected + _spread(expected, count)


def _spread(share: float, count: int) -> float:
    return PLAUSIBLE_DEVIATIONS * math.sqrt(share * (1 - share) / count) if count else math.inf
