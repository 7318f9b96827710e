"""How well a score separates bad samples from good ones: AUROC, TPR at fixed FPR, precision and
recall.
"""

from __future__ import annotations

import numpy
from torch import Tensor

FPR_POINTS = (0.01, 0.05, 0.10)


def separation(good: Tensor, bad: Tensor) -> dict[str, float | None]:
    """Return AUROC and TPR at 1, 5 and 10 % FPR for the suspicion scores (N,) of good and (M,) of
    bad samples. Higher scores mean more suspicious. All are None when one side is empty.
    """
    from sklearn.metrics import (  # seconds to import, and few cells have scores
        roc_auc_score,
        roc_curve,
    )

    names = ["auroc", *(f"tpr_at_{round(100 * p)}_fpr" for p in FPR_POINTS)]
    if not len(good) or not len(bad):
        return dict.fromkeys(names)
    truth = numpy.r_[numpy.zeros(len(good)), numpy.ones(len(bad))]
    scores = numpy.r_[good.double().numpy(), bad.double().numpy()]
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    reached = [float(tpr[fpr <= point].max(initial=0.0)) for point in FPR_POINTS]
    return dict(zip(names, [float(roc_auc_score(truth, scores)), *reached], strict=True))


def flagging(flagged: Tensor, bad: Tensor) -> dict[str, float | None]:
    """Return TPR, FPR, precision and recall of a flag (N,) bool against the truth (N,) bool; None
    where undefined.
    """
    hits = int((flagged & bad).sum())
    total, positive, raised = len(bad), int(bad.sum()), int(flagged.sum())
    recall = hits / positive if positive else None
    return {
        "tpr": recall,
        "fpr": (raised - hits) / (total - positive) if total > positive else None,
        "precision": hits / raised if raised else None,
        "recall": recall,
    }
