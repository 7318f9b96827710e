"""Repairs: a backdoored model goes in, with a few clean images or with the training set; a repaired
model comes out.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import nn

from benchbd.data.budget import CleanSet
from benchbd.data.images import ImageSet
from benchbd.defense.case import Case
from benchbd.defense.defense import CleanDataDefense, Defense, require_eval
from benchbd.defense.outcome import Outcome, Repaired
from benchbd.engine.classifier import Classifier


def _outcome(answer: nn.Module | Repaired, who: str, samples: int) -> Outcome:
    """What a repair gave back, checked. samples: how many clean ones it was handed."""
    repaired = answer if isinstance(answer, Repaired) else Repaired(answer)
    require_eval(repaired.model, f"{who}.repair")
    return Outcome(
        repaired.model,
        sweep=repaired.sweep,
        kept=repaired.kept,
        notes=repaired.notes,
        tensors=repaired.tensors,
        pictures=repaired.pictures,
        clean_samples=samples,
    )


class Repair(CleanDataDefense):
    """Writes `repair`. The clean images are those of the defender's budget, from the
    training set.
    """

    family: ClassVar[str] = "repair"

    @abstractmethod
    def repair(
        self, model: Classifier, clean: CleanSet, rng: torch.Generator
    ) -> nn.Module | Repaired:
        """The repaired model in eval mode, on the device of `model`, which is this method's own
        copy.
        """

    def respond(self, case: Case) -> Outcome:
        clean = self.clean_data(case)
        return _outcome(self.repair(case.model(), clean, case.rng), self.name, len(clean))


class TrainingSetRepair(Defense):
    """Writes `repair`. It holds no clean data: the training set as the victim saw it is all there
    is.
    """

    family: ClassVar[str] = "repair"
    needs_poisoned_set: ClassVar[bool] = True

    @abstractmethod
    def repair(
        self, model: Classifier, train_as_seen: ImageSet, rng: torch.Generator
    ) -> nn.Module | Repaired:
        """The repaired model in eval mode, on the device of `model`, which is this method's own
        copy.
        """

    def respond(self, case: Case) -> Outcome:
        return _outcome(
            self.repair(case.model(), case.train_as_seen().to(case.machine.device), case.rng),
            self.name,
            0,
        )
