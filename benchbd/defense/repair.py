"""The family of repairs: they take a backdoored model, with a few clean images or with the training
set, and return a repaired model.
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
    """Return the checked answer of a repair. samples: how many clean samples it was handed."""
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
    """A defense that repairs a model with a few clean images. It writes `repair`.

    >>> class Shrink(Repair):
    ...     api = 1
    ...     factor: float = param(0.5, "what each weight is multiplied by", ge=0, le=1)
    ...
    ...     def repair(self, model, clean, rng):
    ...         with torch.no_grad():
    ...             model.head.weight.mul_(self.factor)
    ...         return model.eval()
    >>> before = model.head.weight.clone()
    >>> after = Shrink(factor=0.25).repair(model, clean, rng).head.weight
    >>> torch.equal(after, before / 4)
    True
    """

    family: ClassVar[str] = "repair"

    @abstractmethod
    def repair(
        self, model: Classifier, clean: CleanSet, rng: torch.Generator
    ) -> nn.Module | Repaired:
        """Return the repaired model in eval mode, or `Repaired` with a sweep, notes and pictures.

        model: this method's own copy of the backdoored model, which it may change. clean: the clean
        images of the defender's budget. Both lie on the device of the run, and so must what is
        returned. rng: the only source of random numbers, on the CPU.
        """

    def respond(self, case: Case) -> Outcome:
        clean = self.clean_data(case)
        return _outcome(self.repair(case.model(), clean, case.rng), self.name, len(clean))


class TrainingSetRepair(Defense):
    """A defense that repairs a model with the training set, which may be poisoned, and that holds
    no clean images. It writes `repair`.

    >>> class TrainOn(TrainingSetRepair):
    ...     api = 1
    ...
    ...     def repair(self, model, train_as_seen, rng):
    ...         return fit(model, train_as_seen, Recipe(epochs=1, lr=0.01), rng)
    >>> TrainOn().repair(model, train, rng).training
    False
    """

    family: ClassVar[str] = "repair"
    needs_poisoned_set: ClassVar[bool] = True

    @abstractmethod
    def repair(
        self, model: Classifier, train_as_seen: ImageSet, rng: torch.Generator
    ) -> nn.Module | Repaired:
        """Return the repaired model in eval mode, or `Repaired` with a sweep, notes and pictures.

        model: this method's own copy of the backdoored model, which it may change. train_as_seen:
        images and labels as the victim saw them. Both lie on the device of the run, and so must
        what is returned. rng: the only source of random numbers, on the CPU.
        """

    def respond(self, case: Case) -> Outcome:
        return _outcome(
            self.repair(case.model(), case.train_as_seen().to(case.machine.device), case.rng),
            self.name,
            0,
        )
