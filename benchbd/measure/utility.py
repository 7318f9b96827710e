"""Figures that ACC and ASR leave out, counted from stored predictions and true labels: how often
clean images are taken for the attacked label, how well single classes are recognised, and how often
a defended model answers as the undefended one does. An input that a defense rejected has no class.
It is not taken for the attacked label, it is not recognised, and it does not agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.measure.target_rate import Utility

UTILITY_DIGITS = 6
"""Digits behind the point that are stored. More of them would show differences of rounding between
libraries.
"""


@dataclass(frozen=True)
class CleanAnswers:
    """The classes (N,) that one model predicts for the clean test images, beside the true labels
    and those that the attacker wants.
    """

    predictions: Tensor
    test: ImageSet
    triggered: TriggeredSet

    def target_rate(self) -> float | None:
        """Return, of the images that count for ASR, the share that is taken for the attacked label
        without any trigger. It is None where no image counts.
        """
        scored = self.triggered.scored
        if not bool(scored.any()):
            return None
        clean = self.predictions[self.triggered.indices]
        return _share((clean == self.triggered.attacked_labels)[scored])

    def by_class(self) -> dict[int, float]:
        """Return, for each class, the share of its images that are recognised."""
        right = self.predictions == self.test.labels
        return {
            int(label): _share(right[self.test.labels == label])
            for label in self.test.labels.unique()
        }

    def attacked_recall(self) -> float | None:
        """Return the share of the attacked classes' own images that are recognised. It is None
        where nothing is attacked, or where these classes have no image.
        """
        own = torch.isin(self.test.labels, self.triggered.attacked_labels.unique())
        return _share((self.predictions == self.test.labels)[own]) if bool(own.any()) else None


def utility(defended: CleanAnswers, undefended: Tensor | None) -> Utility:
    """Return the figures of a defended model. undefended (N,): the classes that the model predicted
    before the defense, if they are known.
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
    return round(float(hits.double().mean()), UTILITY_DIGITS)
