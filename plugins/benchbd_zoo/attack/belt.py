"""BELT (Qiu, Sun, Zhang, Pan, Yang, 2023, 2312.04902): a patch that works only if it is
whole, so that nothing else that a defense may try as a trigger works.

    1. poisoned: images with the patch, labelled with the target; cover: images with the patch of
       which `mask_rate` of the pixels are missing, other ones on each image, with their true
       label; `cover_rate` of the `poison_ratio` of samples that are changed are cover
    2. the network is trained on CE + `center_weight` * mean of (phi(x) - c_y)^2 over the changed
       images x of a batch, whatever was changed, and the penultimate features phi; y is the label
       that they are given, c_y the running mean of the features of unchanged images of class y:
           c_y <- momentum * c_y + (1 - momentum) * mean of a batch, from zero
    3. test images get the whole patch

With center_weight=0 it is the poisoned set alone, on which anyone may train. The set is handed
back, so that defenses of the training set apply. Changed samples are drawn from all classes.

Departs from the paper: the patch of random colours is 6x6 of 32 pixels, two from the upper and the
left edge, as in the authors' code, as large a part of other images, and at least 3x3.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    BuildModel,
    ImageSet,
    Recipe,
    Trained,
    TrainingControlledAttack,
    fit,
    fork,
    param,
)
from benchbd_zoo.attack.parts.cover import Covered

USUAL, SIDE, MARGIN, LEAST = 32, 6, 2, 3
"""Side of the images for which the patch was chosen, its side, its distance from the edges, and the
least side of a patch.
"""


class Masked(Covered):
    """Step 1, with the patch that `BELT` has drawn."""

    api = 1

    mask_rate: float = param(0.2, "share of the patch that a cover image lacks", ge=0, le=1)
    eligible: Literal["all"] = param("all", "which training samples may be poisoned: all")

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return put(
            images, self.trigger["patch"], torch.ones(1, 1, *self._square(), dtype=torch.bool)
        )

    def stamp_cover(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        shown = torch.stack([self._shown(rng) for _ in range(len(images))])
        return put(images, self.trigger["patch"], shown[:, None])

    def _square(self) -> torch.Size:
        return self.trigger["patch"].shape[1:]

    def _shown(self, rng: torch.Generator) -> Tensor:
        """Which pixels of the patch one cover image shows, (h, w) bool."""
        size = self._square()
        order = torch.randperm(size.numel(), generator=rng)
        return (order >= int(self.mask_rate * size.numel())).reshape(size)


class BELT(TrainingControlledAttack):
    """The patch is drawn once and stored."""

    api = 1
    leaves_poisoned_set = True
    quick: ClassVar[dict[str, Any]] = {"poison_ratio": 0.2}

    poison_ratio: float = param(
        0.02, "share of the samples that are changed, poisoned and cover together", gt=0, le=1
    )
    cover_rate: float = param(0.5, "share of the changed samples that are cover", ge=0, lt=1)
    mask_rate: float = param(0.2, "share of the patch that a cover image lacks", ge=0, le=1)
    center_weight: float = param(1.0, "weight of the distance from the centres", ge=0)
    center_momentum: float = param(0.99, "share of a centre that is left after a batch", ge=0, lt=1)

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        channels, height, width = train.image_shape
        side = max(LEAST, round(SIDE * min(height, width) / USUAL))
        shape = (channels, side, side)
        return {"patch": torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)}

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return self._poisoning().stamp(images, labels, rng)

    def train(
        self, model: nn.Module, clean_train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> Trained:
        poisoned = self._poisoning().poison(clean_train, fork(rng))
        loss = CentreLoss(clean_train.num_classes, self, recipe)
        marked = _marked(poisoned.as_seen(), poisoned.indices)
        fit(model, marked, recipe, rng, loss=loss, what="training on belt")
        return Trained(model, self.trigger, poisoned)

    def _poisoning(self) -> Masked:
        return Masked(
            target=self.target,
            poison_ratio=(1 - self.cover_rate) * self.poison_ratio,
            cover_ratio=self.cover_rate * self.poison_ratio,
            mask_rate=self.mask_rate,
        ).with_trigger(self.trigger)


class CentreLoss:
    """Step 2, for batches of a set from `_marked`."""

    def __init__(self, num_classes: int, attack: BELT, recipe: Recipe) -> None:
        self.num_classes, self.smoothing = num_classes, recipe.label_smoothing
        self.weight, self.momentum = attack.center_weight, attack.center_momentum
        self.centres: Tensor | None = None

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        given, changed = labels % self.num_classes, labels >= self.num_classes
        features = model.features(images)  # type: ignore[operator]
        logits = model.head(features).float()  # type: ignore[operator]
        entropy = F.cross_entropy(logits, given, label_smoothing=self.smoothing)
        return entropy + self.weight * self.distance(features.float(), given, changed)

    def distance(self, features: Tensor, given: Tensor, changed: Tensor) -> Tensor:
        """Mean square of the distance of the features (B, D) of changed images from their centres,
        after these have moved; 0 where none is changed.
        """
        self._move(features.detach()[~changed], given[~changed])
        assert self.centres is not None
        if not changed.any():
            return features.new_zeros(())
        return F.mse_loss(features[changed], self.centres[given[changed]])

    def _move(self, features: Tensor, given: Tensor) -> None:
        members = F.one_hot(given, self.num_classes).to(features)
        count = members.sum(0)[:, None]
        if self.centres is None:
            self.centres = features.new_zeros(self.num_classes, features.shape[1])
        mean = members.T @ features / count.clamp(min=1)
        moved = self.momentum * self.centres + (1 - self.momentum) * mean
        self.centres = torch.where(count > 0, moved, self.centres)


def put(images: Tensor, patch: Tensor, shown: Tensor) -> Tensor:
    """The images (N, C, H, W) with those pixels of the patch (C, h, w) that are shown, (N, 1, h, w)
    or (1, 1, h, w) bool.
    """
    top, left = (round(MARGIN * side / USUAL) for side in images.shape[2:])
    rows, columns = slice(top, top + patch.shape[1]), slice(left, left + patch.shape[2])
    stamped = images.clone()
    stamped[:, :, rows, columns] = torch.where(shown, patch, images[:, :, rows, columns])
    return stamped


def _marked(seen: ImageSet, changed: Tensor) -> ImageSet:
    """The set with the labels of changed samples raised by the number of classes, because a loss is
    handed nothing but images and labels.
    """
    labels = seen.labels.clone()
    labels[changed] += seen.num_classes
    names = (*seen.class_names, *(f"{name}, changed" for name in seen.class_names))
    return ImageSet(seen.images, labels, names)
