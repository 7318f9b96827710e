"""Input detectors: judge every input at the door of the deployed model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from benchbd.data.budget import CleanSet
from benchbd.defense.case import Case
from benchbd.defense.defense import CleanDataDefense, require_scores
from benchbd.defense.outcome import Outcome
from benchbd.engine.classifier import Classifier
from benchbd.engine.inference import EVAL_BATCH
from benchbd.measure.detection import separation
from benchbd.plugin.plugin import param


class Scorer(Protocol):
    """What `fit` gives back."""

    def score(self, images: Tensor) -> Tensor:
        """Suspicion (N,) of uint8 images (N, C, H, W), higher is worse."""


class InputDetector(CleanDataDefense):
    """Writes `fit`. Inputs whose suspicion lies above that of most clean validation images are
    turned away.

    Clean and triggered inputs arrive shuffled, a batch at a time, so that a scorer cannot tell them
    by their company.
    """

    family: ClassVar[str] = "input-detector"

    fpr: float = param(
        0.05,
        "share of clean inputs that may be turned away, by which the threshold is set",
        ge=0,
        le=1,
    )

    @abstractmethod
    def fit(self, model: Classifier, clean: CleanSet, rng: torch.Generator) -> Scorer:
        """A scorer for inputs of `model`, from clean data alone."""

    def threshold(self, validation: Tensor) -> float:
        """Where suspicion begins, from the scores (V,) of clean validation images."""
        return float(torch.quantile(validation.double(), 1 - self.fpr, interpolation="higher"))

    def respond(self, case: Case) -> Outcome:
        clean, attack = self.clean_data(case), case.attack
        scorer = self.fit(case.model(), clean, case.rng)
        threshold = self.threshold(
            self._scores(scorer, clean.validation.images.split(EVAL_BATCH), case)
        )
        shuffled = torch.randperm(
            len(attack.test) + len(attack.triggered), generator=case.seeds.generator("door")
        )
        arriving = (
            _at(places, attack.test.images, attack.triggered.images)
            for places in shuffled.split(EVAL_BATCH)
        )
        good, bad = self._scores(scorer, arriving, case)[shuffled.argsort()].split(
            [len(attack.test), len(attack.triggered)]
        )
        detection = separation(good, bad) | {
            "threshold": threshold,
            "fpr": float((good > threshold).double().mean()),
            "tpr": float((bad > threshold).double().mean()) if len(bad) else None,
        }
        return Outcome(
            case.model(),
            clean_rejected=good > threshold,
            triggered_rejected=bad > threshold,
            detection=detection,
            clean_samples=len(clean),
        )

    def _scores(self, scorer: Scorer, batches: Iterable[Tensor], case: Case) -> Tensor:
        """Suspicion (N,) on the CPU, of batches (B, C, H, W)."""
        there = (batch.to(case.machine.device) for batch in batches)
        return torch.cat(
            [
                require_scores(scorer.score(batch), len(batch), f"{self.name}.score")
                for batch in there
            ]
        )


def _at(places: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The images at `places` (B,) of two stacks, one behind the other, without making one stack of
    them.
    """
    images = first.new_empty((len(places), *first.shape[1:]))
    early = places < len(first)
    images[early], images[~early] = first[places[early]], second[places[~early] - len(first)]
    return images
