"""What an analysis looks at: the backdoored model, the defended ones, and the same images for all
of them.

A scene holds what no defender has: triggered test images, and which training samples are poisoned.
So a defense never gets hold of one, and no number of an analysis enters a ranking.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from benchbd.data.images import ImageSet
from benchbd.data.in_turn import in_turn
from benchbd.data.poisoned import PoisonedSet, TriggeredSet
from benchbd.engine.classifier import Classifier
from benchbd.errors import NotApplicable


class CleanTwin(Protocol):
    """A function that returns a clean twin of the attacked model, another one for each number."""

    def __call__(self, number: int = 0) -> Classifier: ...


Stamp = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""A function from images (N, C, H, W) and their true labels (N,) to the images with the trigger and
the attacked labels (N,). Raises `NotApplicable` where nobody knows how the trigger is put on.
"""

BACKDOORED = "backdoored"
"""The name of the undefended model in a scene.

>>> next(iter(scene.models)) == BACKDOORED
True
"""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Test images without and with the trigger, uint8 (N, C, H, W), with their true and attacked
    labels (N,).

    >>> pairs = scene.pairs(8)
    >>> pairs.clean.shape == pairs.triggered.shape, len(pairs)
    (True, 8)
    """

    clean: Tensor
    triggered: Tensor
    true_labels: Tensor
    attacked_labels: Tensor

    def __len__(self) -> int:
        return len(self.clean)


@dataclass(frozen=True, eq=False)
class Scene:
    """One attack result with any number of defended models.

    models: the networks by name, in eval mode and on one device; `"backdoored"` is the first, the
    others are named after their defense. predictions: by the same names and those of detectors that
    reject inputs, the predicted classes (N,) of the clean and (M,) of the triggered test images;
    `REJECTED` stands for an input that was turned away. test: the clean test images. triggered: the
    triggered ones. train: the training set with the states of its samples, or None where the attack
    leaves none. clean_train: the training images before they were poisoned. clean_twin: a function
    that returns the same network, trained on clean images by the same recipe; another one for each
    number, 0 if none is given. stamp: a function that puts the trigger on images (N, C, H, W) with
    their true labels (N,), as at test time, and returns the attacked labels (N,) beside them.

    >>> list(scene.models), len(scene.test)
    (['backdoored', 'defended'], 100)
    """

    models: Mapping[str, Classifier]
    predictions: Mapping[str, tuple[Tensor, Tensor]]
    test: ImageSet
    triggered: TriggeredSet
    train: PoisonedSet | None
    clean_train: ImageSet
    clean_twin: CleanTwin
    stamp: Stamp

    def pairs(self, count: int) -> Pairs:
        """Return up to `count` test images without and with the trigger, the first of every class,
        then the second, and so on. Raises `NotApplicable` where no image carries a trigger, or
        where clean versions are missing.

        >>> scene.pairs(8).true_labels.tolist()
        [1, 2, 3, 1, 2, 3, 1, 2]
        """
        scored = torch.nonzero(self.triggered.scored & self.triggered.paired)[:, 0]
        if not len(scored):
            raise NotApplicable("there is no triggered test image with its clean version")
        chosen = scored[in_turn(self.triggered.true_labels[scored], count)]
        return Pairs(
            self.test.images[self.triggered.indices[chosen]],
            self.triggered.images[chosen],
            self.triggered.true_labels[chosen],
            self.triggered.attacked_labels[chosen],
        )

    def poisoned_set(self) -> PoisonedSet:
        """Return the training set with the states of its samples. Raises `NotApplicable` where the
        attack leaves none.

        >>> scene.poisoned_set().count(State.POISONED)
        40
        """
        if self.train is None or not len(self.train.indices):
            raise NotApplicable("the attack leaves no training set with poisoned samples")
        return self.train
