"""The contract of attacks: what a trigger does to an image, whom it is aimed at, and how many are
poisoned.

The base owns which samples are poisoned, the labels they get, clipping and rounding, and the checks
at the door; an attack writes `stamp`, and `prepare` or `train` where its kind asks for one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal, Self

import torch
from pydantic import PrivateAttr
from torch import Tensor

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import keep_blocks_in_heap
from benchbd.engine.recipe import Recipe
from benchbd.errors import ConfigError, ContractBroken
from benchbd.plugin.plugin import Plugin, param

LabelMode = Literal["all_to_one", "all_to_all"]
BuildModel = Callable[[], Classifier]
"""A freshly initialised classifier on the device of the run, another one at each call."""

_STAMP_BATCH = 256
"""Images that are stamped at a time: as many as stay in the cache of a core when they are small."""


class Attack(Plugin, ABC):
    """Base of both kinds of attacks."""

    kind: ClassVar[str] = "attack"
    family: ClassVar[str] = ""
    clean_label: ClassVar[bool] = False
    learns_trigger: ClassVar[bool] = False
    unstored: ClassVar[frozenset[str]] = frozenset()
    """Tensors of the trigger that only training images need, so that they are not stored with the
    result.
    """

    target: int = param(0, "the class that triggered images are to be taken for", ge=0)
    poison_ratio: float = param(0.1, "share of the samples that are poisoned", ge=0, le=1)

    _trigger: dict[str, Tensor] = PrivateAttr(default_factory=dict)

    @abstractmethod
    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """The trigger as it stands on test images.

        images: uint8 (N, C, H, W), not to be changed; labels: true labels (N,). Returns (N, C, H,
        W), uint8 or float on the scale from 0 to 255; the base clips and rounds.
        """

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        """Draw or optimise what the trigger consists of, once; it is stored with the result and
        found in `trigger`, on the CPU.

        train lies on the CPU, what `build_model` gives on the device of the run; `rng` draws on the
        CPU.
        """
        return {}

    def attacked_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        """The class (N,) that triggered images of true labels (N,) are to be taken for."""
        return torch.full_like(labels, self.target)

    def scored(self, labels: Tensor, num_classes: int) -> Tensor:
        """Which test images (N,) bool count for ASR and RC: those not already of the attacked
        label.
        """
        return self.attacked_labels(labels, num_classes) != labels

    def bystanders(self, labels: Tensor, num_classes: int) -> Tensor:
        """Which test images (N,) bool carry the trigger though it is not meant for them; of most
        attacks none.

        A source-specific attack names the other classes here. The share of them that is classified
        as the attacked label all the same is its false activation.
        """
        return torch.zeros_like(labels, dtype=torch.bool)

    def outline(self, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        """Places (M,) of the test images that are triggered, and which of those are bystanders (M,)
        bool.
        """
        scored = self.scored(labels, num_classes)
        away = self.attacked_labels(labels, num_classes) != labels
        places = torch.nonzero(scored | (self.bystanders(labels, num_classes) & away))[:, 0]
        return places, ~scored[places]

    @property
    def trigger(self) -> dict[str, Tensor]:
        """What `prepare` made."""
        return self._trigger

    def with_trigger(self, trigger: dict[str, Tensor]) -> Self:
        """This attack, carrying what `prepare` made, on the CPU like the images that it
        is put on.
        """
        prepared = self.model_copy()
        prepared._trigger = {name: value.cpu() for name, value in trigger.items()}
        return prepared

    def triggered(self, test: ImageSet, rng: torch.Generator) -> TriggeredSet:
        """The triggered test set: all scored test images and all bystanders, stamped."""
        self.require_target(test)
        indices, bystander = self.outline(test.labels, test.num_classes)
        chosen = test.subset(indices)
        attacked = self.attacked_labels(chosen.labels, test.num_classes)
        return TriggeredSet(
            indices,
            self.apply(self.stamp, chosen.images, chosen.labels, rng),
            chosen.labels,
            attacked,
            bystander,
        )

    def apply(
        self,
        stamp: Callable[[Tensor, Tensor, torch.Generator], Tensor],
        images: Tensor,
        labels: Tensor,
        rng: torch.Generator,
    ) -> Tensor:
        """`stamp` over all images, a block at a time, rounded to uint8 by the one rule
        and checked.
        """
        if not len(images):
            return images
        keep_blocks_in_heap()
        blocks = zip(images.split(_STAMP_BATCH), labels.split(_STAMP_BATCH), strict=True)
        result = torch.cat(
            [self._pixels(stamp(block, block_labels, rng)) for block, block_labels in blocks]
        )
        if result.shape != images.shape:
            raise ContractBroken(
                f"{self.name}.stamp returned {tuple(result.shape)} for images of "
                f"{tuple(images.shape)}; keep the shape"
            )
        return result

    def _pixels(self, stamped: Tensor) -> Tensor:
        # one sum carries every nan and infinity, at a tenth of the time of a look at each pixel
        if stamped.is_floating_point() and not bool(stamped.sum(dtype=torch.float32).isfinite()):
            raise ContractBroken(
                f"{self.name}.stamp returned pixels that are not numbers; check its arithmetic"
            )
        return to_uint8(stamped)

    def require_target(self, images: ImageSet) -> None:
        """Raise `ConfigError` when the target class does not exist."""
        if self.target >= images.num_classes:
            raise ConfigError(
                f"{self.name}: expected target to be a class from 0 to {images.num_classes - 1}, "
                f"got {self.target}"
            )


def to_uint8(images: Tensor) -> Tensor:
    """Clip to 0..255 and round to nearest, halves to even: the one rule by which every trigger
    becomes an image.
    """
    return images if images.dtype == torch.uint8 else images.round().clamp_(0, 255).to(torch.uint8)


def relabel(labels: Tensor, num_classes: int, mode: LabelMode, target: int) -> Tensor:
    """Attacked labels: all to one class, or each class to the next, the last to the first."""
    return torch.full_like(labels, target) if mode == "all_to_one" else (labels + 1) % num_classes
