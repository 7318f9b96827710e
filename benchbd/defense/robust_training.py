"""Robust training: the defender trains on the data as given and must not learn the backdoor."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import nn

from benchbd.attack.attack import BuildModel
from benchbd.data.images import ImageSet
from benchbd.defense.case import Case
from benchbd.defense.defense import Defense, require_eval
from benchbd.defense.outcome import Outcome
from benchbd.engine.recipe import Recipe


class RobustTraining(Defense):
    """Writes `train`. It sees images and labels as given, and nothing of which are poisoned."""

    stage: ClassVar[str] = "robust-training"
    needs_poisoned_set: ClassVar[bool] = True

    @abstractmethod
    def train(self, build_model: BuildModel, train_as_seen: ImageSet, recipe: Recipe, rng: torch.Generator) -> nn.Module:
        """The trained model, in eval mode."""

    def respond(self, case: Case) -> Outcome:
        model = self.train(case.build_model(), case.train_as_seen(), case.recipe, case.rng)
        require_eval(model, f"{self.name}.train")
        return Outcome(model)
