"""The comparison of what a method thinks of the training samples with what they are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchbd.data.poisoned import State
from benchbd.defense.case import Case
from benchbd.defense.defense import require_scores, require_type
from benchbd.defense.outcome import Suspicion
from benchbd.measure.detection import flagging, separation


def suspects(answer: object, case: Case, verb: str) -> tuple[Tensor, dict[str, Any]]:
    """Return which training samples (N,) `verb` flags, and the figures that compare the flags with
    the truth. Raises `ContractBroken` when `answer` is no `Suspicion`.

    Where nothing is poisoned, AUROC, TPR and recall are None, and every flagged sample is a false
    alarm. `classes_emptied` lists the classes of which every sample is flagged.
    """
    suspicion = require_type(answer, Suspicion, verb)
    train = case.attack.train
    scores = require_scores(suspicion.scores, len(train), verb)
    flagged, bad = scores > suspicion.threshold, train.state() == State.POISONED
    labels = train.clean.labels.index_copy(0, train.indices, train.labels)
    before, left = (
        torch.bincount(some, minlength=train.clean.num_classes)
        for some in (labels, labels[~flagged])
    )
    emptied = torch.nonzero((before > 0) & (left == 0))[:, 0].tolist()
    return flagged, separation(scores[~bad], scores[bad]) | flagging(flagged, bad) | {
        "classes_emptied": emptied
    }
