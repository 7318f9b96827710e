"""Training-controlled attacks: the attacker trains the model and poisons batches on the way."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchbd.attack.attack import Attack
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import PoisonedSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model, and the trigger if it was learned on the way."""

    model: nn.Module
    trigger: dict[str, Tensor]


class TrainingControlledAttack(Attack):
    """Writes `train` and `stamp`. Its `poison_ratio` is a share of every batch; no poisoned set
    exists to store.
    """

    family: ClassVar[str] = "training-controlled"

    @abstractmethod
    def train(
        self, model: Classifier, clean_train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> nn.Module | Trained:
        """The trained model, from a fresh one and the clean training set; `Trained` when the
        trigger was learned too.

        The model lies on the device of the run, the set on the CPU: `fit` takes it as it is, all
        else says `.to(device_of(model))`.
        """


def nothing_poisoned(clean: ImageSet) -> PoisonedSet:
    """The training set of an attack that poisons batches, not samples."""
    none = torch.zeros(0, dtype=torch.int64)
    return PoisonedSet(
        clean, none, clean.images.new_empty((0, *clean.image_shape)), none, none.to(torch.uint8)
    )
