"""The step from predicted classes to the counts behind ACC, ASR and RC."""

from __future__ import annotations

from torch import Tensor

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.measure.shares import Counts

REJECTED = 2**16 - 1
"""The class of an input that a detector rejected. It is no label, so it never counts as a hit.

>>> REJECTED
65535
"""


def count(
    clean_predictions: Tensor,
    triggered_predictions: Tensor,
    test: ImageSet,
    triggered: TriggeredSet,
) -> Counts:
    """Return the counts for the predicted classes (N,) of the clean and (M,) of the triggered test
    images.
    """
    scored, attacked = triggered.scored, triggered_predictions == triggered.attacked_labels
    return Counts(
        clean=len(test),
        clean_hits=int((clean_predictions == test.labels).sum()),
        triggered=int(scored.sum()),
        attack_hits=int((attacked & scored).sum()),
        true_hits=int(((triggered_predictions == triggered.true_labels) & scored).sum())
        if triggered.is_true_known
        else None,
        bystanders=int((~scored).sum()),
        bystander_hits=int((attacked & ~scored).sum()),
    )
