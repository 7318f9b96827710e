"""Clean and poisoned samples with the labels that the victim saw: those of the training set, or
test images where an attack leaves no training set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchbd.api import NotApplicable, PoisonedSet, Scene, State


@dataclass(frozen=True, eq=False)
class Samples:
    """labels: as the victim sees them, (N,). states: what was done to each, (N,) uint8 (`State`).
    pick: a function from places (M,) to their images, uint8 (M, C, H, W). of: what they are.
    """

    labels: Tensor
    states: Tensor
    pick: Callable[[Tensor], Tensor]
    of: str

    def places(self, state: State, label: int | None = None) -> Tensor:
        """Return the places (M,) of the samples in that state, of one label or of all."""
        chosen = self.states == state
        if label is not None:
            chosen &= self.labels == label
        return torch.nonzero(chosen)[:, 0]

    def target(self) -> int:
        """Return the label that most poisoned samples have."""
        return int(self.labels[self.places(State.POISONED)].mode().values)


def samples(scene: Scene) -> Samples:
    """Return the training samples of the attack, or else its clean and triggered test images.
    Raises `NotApplicable` where neither has a poisoned one.
    """
    if scene.train is not None and scene.train.count(State.POISONED):
        return _of_training(scene.train)
    scored = torch.nonzero(scene.triggered.scored)[:, 0]
    if not len(scored):
        raise NotApplicable("there is neither a poisoned training sample nor a triggered image")
    return _of_test(scene, scored)


def _of_training(train: PoisonedSet) -> Samples:
    labels = train.clean.labels.clone()
    labels[train.indices] = train.labels
    changed = torch.full((len(train),), -1)
    changed[train.indices] = torch.arange(len(train.indices))

    def pick(places: Tensor) -> Tensor:
        images, at = train.clean.images[places], changed[places]
        images[at >= 0] = train.images[at[at >= 0]]
        return images

    return Samples(labels, train.state(), pick, "training samples")


def _of_test(scene: Scene, scored: Tensor) -> Samples:
    images = torch.cat([scene.test.images, scene.triggered.images[scored]])
    labels = torch.cat([scene.test.labels, scene.triggered.attacked_labels[scored]])
    states = torch.full((len(labels),), int(State.CLEAN), dtype=torch.uint8)
    states[len(scene.test) :] = State.POISONED
    return Samples(labels, states, lambda places: images[places], "test images")


def drawn(places: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Return up to `count` of the places, drawn without repetition."""
    return places[torch.randperm(len(places), generator=rng)[:count]]
