"""Repairs: a backdoored model and a few clean images go in, a repaired model comes out."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import nn

from benchbd.data.budget import CleanSet
from benchbd.defense.case import Case
from benchbd.defense.defense import CleanDataDefense, require_eval
from benchbd.defense.outcome import Outcome, Repaired


class Repair(CleanDataDefense):
    """Writes `repair`. The clean images are those of the defender's budget, from the training set."""

    stage: ClassVar[str] = "repair"

    @abstractmethod
    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module | Repaired:
        """The repaired model in eval mode, on the device of `model`, which is this method's own copy."""

    def respond(self, case: Case) -> Outcome:
        clean = self.clean_data(case)
        answer = self.repair(case.model(), clean, case.rng)
        repaired = answer if isinstance(answer, Repaired) else Repaired(answer)
        require_eval(repaired.model, f"{self.name}.repair")
        return Outcome(
            repaired.model,
            sweep=repaired.sweep,
            kept=repaired.kept,
            notes=repaired.notes,
            tensors=repaired.tensors,
            clean_samples=len(clean),
        )
