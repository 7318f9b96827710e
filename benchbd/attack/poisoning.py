"""The family of data-poisoning attacks: the attacker changes some training samples and nothing
else.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from benchbd.attack.attack import Attack
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import PoisonedSet, State
from benchbd.errors import ConfigError
from benchbd.plugin.declared import param


class PoisoningAttack(Attack):
    """An attack that changes some training samples and nothing else. It writes `stamp`.

    The core chooses which samples are poisoned, gives them their labels, rounds and clips, trains
    the victim and stores the result. An attack whose training images carry another trigger than its
    test images overrides `stamp_poison`. One that also changes samples without changing their label
    overrides `choose` and `stamp_cover`.

    >>> class Corner(PoisoningAttack):
    ...     api = 1
    ...
    ...     def stamp(self, images, labels, rng):
    ...         stamped = images.clone()
    ...         stamped[:, :, -3:, -3:] = 255
    ...         return stamped
    >>> poisoned = Corner(target=2, poison_ratio=0.1).poison(test, rng)
    >>> len(test), len(poisoned.indices), poisoned.labels.unique()
    (100, 10, tensor([2]))
    >>> poisoned.images[:, :, -3:, -3:].min()
    tensor(255, dtype=torch.uint8)
    """

    family: ClassVar[str] = "data-poisoning"

    ratio_of: Literal["dataset", "class"] = param(
        "dataset",
        "what poison_ratio is a share of: the whole training set, or the eligible samples alone",
    )
    eligible: Literal["non_target", "all", "target"] = param(
        "non_target", "which training samples may be poisoned, by their true label"
    )

    def stamp_poison(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Put the trigger on poisoned training images (N, C, H, W). It is the trigger of the test
        images unless a method overrides this.
        """
        return self.stamp(images, labels, rng)

    def stamp_places(self, clean: ImageSet, places: Tensor, rng: torch.Generator) -> Tensor:
        """Return the poisoned versions (P, C, H, W) of the training samples at `places` (P,). A
        method overrides this if its trigger depends on which sample it is put on.
        """
        return self.apply(self.stamp_poison, clean.images[places], clean.labels[places], rng)

    def stamp_cover(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Put the trigger on cover samples (N, C, H, W), which keep their true label. It is the
        trigger of the poisoned images unless a method overrides this.
        """
        return self.stamp_poison(images, labels, rng)

    def may_poison(self, labels: Tensor, num_classes: int) -> Tensor:
        """Return which training samples, (N,) bool, may be poisoned, by their true labels (N,) and
        the parameter `eligible`.
        """
        if self.eligible == "all":
            return torch.ones_like(labels, dtype=torch.bool)
        if self.eligible == "target":
            return labels == self.target
        return self.attacked_labels(labels, num_classes) != labels

    def choose(
        self, labels: Tensor, num_classes: int, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw the places (P,) of the poisoned samples and (Q,) of the cover samples; no place is
        drawn twice. There are no cover samples unless a method overrides this.

        Raises `ConfigError` when the ratio means less than one sample, or more than are eligible.
        """
        pool = torch.nonzero(self.may_poison(labels, num_classes))[:, 0]
        wanted = round(
            self.poison_ratio * (len(labels) if self.ratio_of == "dataset" else len(pool))
        )
        if self.poison_ratio and not wanted:
            raise ConfigError(
                f"{self.name}: poison_ratio {self.poison_ratio:g} of the {self.ratio_of} is less "
                "than one sample; raise it"
            )
        if wanted > len(pool):
            most = math.floor(1000 * len(pool) / len(labels)) / 1000
            raise ConfigError(
                f"{self.name}: poison_ratio {self.poison_ratio:g} of the {self.ratio_of} asks for "
                f"{wanted} samples, "
                f"but only {len(pool)} are eligible ({self.eligible}); lower it to {most:g}, "
                "or set ratio_of=class"
            )
        return pool[torch.randperm(len(pool), generator=rng)[:wanted]], pool[:0]

    def poison(self, clean: ImageSet, rng: torch.Generator) -> PoisonedSet:
        """Return the poisoned training set.

        Raises `ConfigError` when `target` is not one of its classes, or when there are not enough
        eligible samples for the ratio.
        """
        self.require_target(clean)
        poisoned, cover = self.choose(clean.labels, clean.num_classes, rng)
        indices, order = torch.cat([poisoned, cover]).sort()
        images = torch.cat(
            [
                self.stamp_places(clean, poisoned, rng),
                self.apply(self.stamp_cover, clean.images[cover], clean.labels[cover], rng),
            ]
        )
        given = (
            clean.labels[poisoned]
            if self.clean_label
            else self.attacked_labels(clean.labels[poisoned], clean.num_classes)
        )
        labels = torch.cat([given, clean.labels[cover]])
        states = torch.tensor(
            [State.POISONED] * len(poisoned) + [State.COVER] * len(cover), dtype=torch.uint8
        )
        return PoisonedSet(clean, indices, images[order], labels[order], states[order])
