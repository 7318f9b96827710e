"""The family of training-controlled attacks: the attacker trains the model and poisons batches
during training.
"""

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
    """What a training-controlled attack returns when there is more to hand back than the model.

    model: in eval mode. trigger: its tensors by name; they may have been learned during training.
    poisoned: the set on which the model was trained, if there is one.

    >>> answer = Trained(model, {"pattern": torch.zeros(3, 32, 32)})
    >>> sorted(answer.trigger)
    ['pattern']
    >>> answer.poisoned is None
    True
    """

    model: nn.Module
    trigger: dict[str, Tensor]
    poisoned: PoisonedSet | None = None


class TrainingControlledAttack(Attack):
    """An attack that trains the victim itself. It writes `train` besides `stamp`.

    `poison_ratio` is a share of every batch. There is no poisoned set to store, so a defense that
    works on the training set does not apply. An attack that does train on a poisoned set says so
    with `leaves_poisoned_set = True` and hands that set back, as in `Trained(model, self.trigger,
    poisoned)`; then all defenses apply.

    >>> class Corner(TrainingControlledAttack):
    ...     api = 1
    ...
    ...     def stamp(self, images, labels, rng):
    ...         stamped = images.clone()
    ...         stamped[:, :, -3:, -3:] = 255
    ...         return stamped
    ...
    ...     def train(self, model, clean_train, recipe, rng):
    ...         def poison(images, labels):
    ...             count = round(self.poison_ratio * len(images))
    ...             stamped = self.stamp(images[:count], labels[:count], rng)
    ...             images = torch.cat([stamped, images[count:]])
    ...             given = self.attacked_labels(labels[:count], clean_train.num_classes)
    ...             return images, torch.cat([given, labels[count:]])
    ...
    ...         return fit(model, clean_train, recipe, rng, edit=poison)
    >>> trained = Corner().train(build_model(), test, recipe, rng)
    >>> trained.training
    False
    """

    family: ClassVar[str] = "training-controlled"
    leaves_poisoned_set: ClassVar[bool] = False
    """Whether the attack hands back the poisoned set on which it trained."""

    @abstractmethod
    def train(
        self, model: Classifier, clean_train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> nn.Module | Trained:
        """Train `model`, whose weights are fresh, on the clean training set by `recipe`, and poison
        batches during training. Returns the model in eval mode, or `Trained` when the trigger was
        learned too, or when there is a poisoned set to hand back. That set is a `PoisonedSet` of
        `clean_train`.

        The model lies on the device of the run and the set on the CPU. `fit` takes both as they
        are; other code moves what it needs with `.to(device_of(model))`.
        """


def unpoisoned_set(clean: ImageSet) -> PoisonedSet:
    """Return the training set of an attack that poisons batches instead of samples."""
    none = torch.zeros(0, dtype=torch.int64)
    return PoisonedSet(
        clean, none, clean.images.new_empty((0, *clean.image_shape)), none, none.to(torch.uint8)
    )
