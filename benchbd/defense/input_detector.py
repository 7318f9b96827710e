"""The family of input detectors: they judge every input of the deployed model."""

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
from benchbd.plugin.declared import param


class Scorer(Protocol):
    """What `InputDetector.fit` returns: any object with a method `score`.

    >>> class Brightness:
    ...     def score(self, images):
    ...         return images.float().mean((1, 2, 3))
    >>> scorer: Scorer = Brightness()
    >>> scorer.score(test.images).shape
    torch.Size([100])
    """

    def score(self, images: Tensor) -> Tensor:
        """Return the suspicion (N,) of uint8 images (N, C, H, W) on the device of the run, where
        higher is worse. The score of an image must not depend on the other images of its batch.
        """


class InputDetector(CleanDataDefense):
    """A defense that judges every input of the deployed model. It writes `fit`, which returns a
    `Scorer`.

    The core scores the clean validation images, sets the threshold so that at most the share `fpr`
    of them lies above it, and rejects test inputs above it. Clean and triggered inputs arrive
    shuffled and in batches, so a scorer cannot tell them apart by their neighbours.

    >>> class Brightness:
    ...     def score(self, images):
    ...         return images.float().mean((1, 2, 3))
    >>> class Bright(InputDetector):
    ...     api = 1
    ...
    ...     def fit(self, model, clean, rng):
    ...         return Brightness()
    >>> detector = Bright(fpr=0.25)
    >>> detector.threshold(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    4.0
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
        """Return a scorer for inputs of `model`, learned from clean images alone. Model and images
        lie on the device of the run.
        """

    def threshold(self, validation: Tensor) -> float:
        """Return the score above which an input is rejected, from the scores (V,) of the clean
        validation images: their quantile at 1 - `fpr`. A method with a rule of its own overrides
        this.
        """
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
        """Return the suspicion (N,), on the CPU, of batches (B, C, H, W)."""
        there = (batch.to(case.machine.device) for batch in batches)
        return torch.cat(
            [
                require_scores(scorer.score(batch), len(batch), f"{self.name}.score")
                for batch in there
            ]
        )


def _at(places: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return the images at `places` (B,) of two stacks that count as one, without copying them into
    one stack.
    """
    images = first.new_empty((len(places), *first.shape[1:]))
    early = places < len(first)
    images[early], images[~early] = first[places[early]], second[places[~early] - len(first)]
    return images
