"""Data filters that judge each training sample alone, as an input detector judges inputs at the
door.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, DataFilter, ImageSet, Scorer, Suspicion, param


class SampleFilter(DataFilter):
    """Writes `fit`, the same one as the input detector has."""

    fpr: float = param(
        0.05,
        "share of clean samples that may be flagged, by which the threshold is set",
        ge=0,
        le=1,
    )

    @abstractmethod
    def fit(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Scorer:
        """A scorer for images that `model` sees, from clean data alone."""

    def threshold(self, validation: Tensor) -> float:
        """Where suspicion begins, from the scores (V,) of clean validation images."""
        return float(torch.quantile(validation.double(), 1 - self.fpr, interpolation="higher"))

    def score(
        self, train_as_seen: ImageSet, model: nn.Module, clean: CleanSet, rng: torch.Generator
    ) -> Suspicion:
        scorer = self.fit(model, clean, rng)
        threshold = self.threshold(scorer.score(clean.validation.images))
        return Suspicion(scorer.score(train_as_seen.images), threshold)
