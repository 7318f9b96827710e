"""What ACC and ASR leave out and stored predictions tell: how often clean images are taken for the
attacked label, what became of single classes, and whether a defended model still answers as the
undefended one does.

Counted from predicted classes and true labels, without a model. An input that a defense turned away
is no class: it is not taken for the attacked label, it is not recognised, and it does not agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.measure.target_rate import Utility

DIGITS = 6
"""Digits behind the point that are kept, so that the last bits of a library do not show."""


@dataclass(frozen=True)
class CleanAnswers:
    """Predicted classes (N,) of the clean test images by one model, beside what is right and what
    the attacker wants.
    """

    predictions: Tensor
    test: ImageSet
    triggered: TriggeredSet

    def target_rate(self) -> float | None:
        """The share of the images that count for ASR which are taken for the attacked label without
        any trigger; None where no image counts.
        """
        scored = self.triggered.scored
        if not bool(scored.any()):
            return None
        clean = self.predictions[self.triggered.indices]
        return _share((clean == self.triggered.attacked_labels)[scored])

    def by_class(self) -> dict[int, float]:
        """The share of each class's images that are recognised."""
        right = self.predictions == self.test.labels
        return {
            int(label): _share(right[self.test.labels == label])
            for label in self.test.labels.unique()
        }

    def attacked_recall(self) -> float | None:
        """The share of the attacked classes' own images that are recognised; None where nothing is
        attacked, or the classes have no image.
        """
        own = torch.isin(self.test.labels, self.triggered.attacked_labels.unique())
        return _share((self.predictions == self.test.labels)[own]) if bool(own.any()) else None


def utility(defended: CleanAnswers, undefended: Tensor | None) -> Utility:
    """The figures of a defended model. undefended (N,): what the model answered before the defense,
    if that is known.
    """
    by_class = defended.by_class()
    least = min(by_class, key=lambda label: (by_class[label], label))
    found = Utility(
        target_rate=defended.target_rate(),
        least_class=least,
        least_accuracy=by_class[least],
        attacked_recall=defended.attacked_recall(),
    )
    if undefended is None:
        return found
    before = replace(defended, predictions=undefended)
    return found.model_copy(
        update={
            "target_rate_before": before.target_rate(),
            "attacked_recall_before": before.attacked_recall(),
            "agreement": _share(before.predictions == defended.predictions),
        }
    )


def _share(hits: Tensor) -> float:
    return round(float(hits.double().mean()), DIGITS)
