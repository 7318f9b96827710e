"""Checks of detectors and filters: they give one number for everything that they judge, and a high
number means suspicious.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from benchbd.api import DataFilter, InputDetector, ModelDetector, Scorer, Suspicion, Verdict
from benchbd.data.poisoned import State
from benchbd.measure.detection import separation
from benchbd.testing import tiny_data
from benchbd.testing.check import check, require
from benchbd.testing.result import RuleBroken
from benchbd.testing.subject import Subject

WRONG_WAY_AUROC = 0.3
"""With an AUROC below this, the scores point the other way. Chance does not explain it."""


@check("smoke", DataFilter, InputDetector, ModelDetector)
def one_finite_score_each(subject: Subject) -> None:
    """There is one finite number for every sample, every input, every class, in order."""
    scores, count = _scores(subject), _judged(subject)
    require(
        isinstance(scores, Tensor), f"expected a tensor of scores, got a {type(scores).__name__}"
    )
    require(
        scores.shape == (count,),
        f"expected ({count},) scores, one for each, in order, got {tuple(scores.shape)}",
    )
    wrong = int((~torch.isfinite(scores)).sum())
    require(wrong == 0, f"{wrong} of {count} scores are not finite numbers")


@check("smoke", DataFilter, ModelDetector)
def answers_with_its_type(subject: Subject) -> None:
    """It answers with the type of its family, with a threshold or a flag for each class."""
    answer = subject.trial.answer
    wanted: type[Any] = Suspicion if issubclass(subject.cls, DataFilter) else Verdict
    require(
        isinstance(answer, wanted),
        f"it returned a {type(answer).__name__}, expected a {wanted.__name__}",
    )
    if isinstance(answer, Suspicion):
        require(
            math.isfinite(answer.threshold),
            f"its threshold is {answer.threshold}, expected a finite number",
        )
    else:
        fits = answer.flagged.shape == answer.scores.shape
        require(
            fits,
            f"it flagged {tuple(answer.flagged.shape)} of {tuple(answer.scores.shape)} classes; "
            "give one flag for each",
        )


@check("smoke", InputDetector)
def single_inputs_work(subject: Subject) -> None:
    """An input that comes alone gets a score."""
    scorer = _scorer(subject)
    try:
        score = scorer.score(tiny_data.images("test").images[:1])
    except Exception as error:
        raise RuleBroken(f"one image alone: {type(error).__name__}: {error}") from error
    require(score.shape == (1,), f"one image alone: expected (1,) scores, got {tuple(score.shape)}")


@check("smoke", InputDetector)
def score_knows_no_neighbours(subject: Subject) -> None:
    """An input gets the same score whatever else is in its batch, and in whatever order."""
    scorer, images = _scorer(subject), tiny_data.images("test").images
    whole = scorer.score(images)
    parts = torch.cat([scorer.score(part) for part in images.split(37)])
    require(
        _alike(parts, whole),
        "inputs scored in small batches get other scores than at once; compare with clean data in "
        "`fit`",
    )
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    require(
        _alike(scorer.score(images[order]), whole[order]),
        "inputs in another order get other scores; draw in `fit`",
    )


@check("full", DataFilter, InputDetector)
def high_means_suspicious(subject: Subject) -> None:
    """With its defaults, poisoned samples and triggered inputs do not score far below
    clean ones.
    """
    auroc = _separation(subject)
    require(
        auroc is None or auroc >= WRONG_WAY_AUROC,
        f"poison scores below clean (AUROC {auroc or 0:.2f}); higher must mean more suspicious, "
        "so turn the sign",
    )


def _separation(subject: Subject) -> float | None:
    """Return the AUROC of the suspicion on a planted backdoor."""
    attack, handed, plugin = (
        tiny_data.attack_result(subject.architecture),
        subject.hand_over(),
        subject.full,
    )
    if isinstance(plugin, DataFilter):
        scores = plugin.score(handed.train, handed.model, handed.clean, handed.rng).scores
        bad = attack.train.state() == State.POISONED
        found = separation(scores[~bad], scores[bad])
    else:
        assert isinstance(plugin, InputDetector)
        scorer = plugin.fit(handed.model, handed.clean, handed.rng)
        found = separation(scorer.score(attack.test.images), scorer.score(attack.triggered.images))
    return found["auroc"]


def _scorer(subject: Subject) -> Scorer:
    handed = subject.hand_over()
    return subject.plugin_as(InputDetector).fit(handed.model, handed.clean, handed.rng)


def _alike(first: Tensor, second: Tensor) -> bool:
    """Return whether scores are equal within rounding, measured by how far apart the scores are."""
    first, second = first.double(), second.double()
    spread = float(second.std().nan_to_num())
    return first.shape == second.shape and torch.allclose(
        first, second, rtol=1e-3, atol=1e-3 * spread, equal_nan=True
    )


def _scores(subject: Subject) -> Any:
    answer = subject.trial.answer
    return answer if issubclass(subject.cls, InputDetector) else getattr(answer, "scores", None)


def _judged(subject: Subject) -> int:
    if issubclass(subject.cls, ModelDetector):
        return tiny_data.CLASS_COUNT
    return len(tiny_data.images("test" if issubclass(subject.cls, InputDetector) else "train"))
