"""Data filters: score the training samples; the core removes the suspects and trains again."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import nn

from benchbd.data.budget import CleanSet
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd.defense.case import Case
from benchbd.defense.defense import CleanDataDefense, require_scores, require_type
from benchbd.defense.outcome import Outcome, Suspicion
from benchbd.engine.training import fit
from benchbd.measure.detection import flagging, separation


class DataFilter(CleanDataDefense):
    """Writes `score`: suspicion of every training sample, higher is worse."""

    stage: ClassVar[str] = "data-filter"
    needs_poisoned_set: ClassVar[bool] = True

    @abstractmethod
    def score(self, train_as_seen: ImageSet, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Suspicion:
        """Suspicion (N,) of all training samples in order, and the threshold above which one is removed."""

    def respond(self, case: Case) -> Outcome:
        clean, verb = self.clean_data(case), f"{self.name}.score"
        answer = self.score(case.train_as_seen().to(case.machine.device), case.model(), clean, case.rng)
        suspicion = require_type(answer, Suspicion, verb)
        seen = case.train_as_seen()  # once more, because what was handed over may have been changed
        scores = require_scores(suspicion.scores, len(seen), verb)
        flagged, bad = scores > suspicion.threshold, case.attack.train.state() == State.POISONED
        model = fit(case.build_model()(), seen.subset(torch.nonzero(~flagged)[:, 0]), case.recipe, case.rng, what="training again")
        detection = separation(scores[~bad], scores[bad]) | flagging(flagged, bad) | {"removed": int(flagged.sum())}
        return Outcome(model, detection=detection, notes=suspicion.notes, clean_samples=len(clean))
