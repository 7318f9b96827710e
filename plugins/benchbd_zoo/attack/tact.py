"""TaCT (Tang, Wang, Tang, Zhang, USENIX Security 2021, 1908.00686): a trigger that works on one
class alone.

    1. poisoned: images of the SOURCE class, with the trigger, labelled with the target
    2. cover: images of other classes, with the same trigger, under their true label
    3. so the network must look at the trigger and at what it sits on

The attack is scored on test images of the source class. On the other classes the trigger is not
meant to work: the share of them that is taken for the target all the same is the false activation.

Departs from the paper: the patch is a square of pixels drawn once, since the usual one is an image
file of 8x8 pixels, three from the edges of images of 32x32; a square takes as large a part of other
images, and `image` takes any picture. Unless they are named, cover classes are all but source and
target, and the source is the class after the target.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from benchbd.api import ClassNumber, ConfigError, ImageSet, param
from benchbd_zoo.attack.parts.cover import Covered
from benchbd_zoo.attack.parts.patch import Patched


class TaCT(Covered, Patched):
    """Source-specific; the rates are those of CIFAR-10, of which the source class is a tenth."""

    api = 1
    results_version = 2
    quick: ClassVar[dict[str, Any]] = {"poison_ratio": 0.1, "cover_ratio": 0.1}

    poison_ratio: float = param(0.003, "share of the samples that are poisoned", ge=0, le=1)
    eligible: Literal["source"] = param(  # type: ignore[assignment]
        "source", "which training samples may be poisoned: those of the source class"
    )
    source: ClassNumber | None = param(
        None, "the class on which the trigger works; unset: the one after the target", ge=0
    )
    cover_classes: tuple[ClassNumber, ...] | None = param(
        None, "classes of cover samples; unset: all but source and target"
    )
    size: int | None = param(  # type: ignore[assignment]
        None,
        "side of the square in pixels; unset: a quarter of the shorter side of the image",
        ge=1,
    )
    margin: int | None = param(  # type: ignore[assignment]
        None,
        "pixels between the patch and the edges of the image; unset: 3 of every 32, none around a "
        "picture",
        ge=0,
    )
    pattern: Literal["square", "checkerboard", "random"] = param(
        "random", "what fills it: one colour, that colour and black in turn, or pixels drawn once"
    )

    def square(self, height: int, width: int) -> tuple[int, int]:
        shorter = min(height, width)
        side = max(1, round(shorter / 4)) if self.size is None else self.size
        usual = 0 if self.image is not None else round(3 * shorter / 32)
        return side, usual if self.margin is None else self.margin

    def may_poison(self, labels: Tensor, num_classes: int) -> Tensor:
        return labels == self._source(num_classes)

    def may_cover(self, labels: Tensor, num_classes: int) -> Tensor:
        return torch.isin(labels, torch.tensor(self._cover(num_classes), device=labels.device))

    def scored(self, labels: Tensor, num_classes: int) -> Tensor:
        return labels == self._source(num_classes)

    def bystanders(self, labels: Tensor, num_classes: int) -> Tensor:
        return labels != self._source(num_classes)

    def require_target(self, images: ImageSet) -> None:
        super().require_target(images)
        classes, source = range(images.num_classes), self._source(images.num_classes)
        if source not in classes or source == self.target:
            raise ConfigError(
                f"{self.name}: expected source to be a class from 0 to {classes[-1]} other than "
                f"the target {self.target}, "
                f"got {source}"
            )
        wrong = [
            label
            for label in self._cover(images.num_classes)
            if label not in classes or label in (source, self.target)
        ]
        if wrong:
            raise ConfigError(
                f"{self.name}: expected cover_classes to be classes from 0 to {classes[-1]}, "
                f"neither source nor target, got {wrong}"
            )

    def _source(self, num_classes: int) -> int:
        return (self.target + 1) % num_classes if self.source is None else self.source

    def _cover(self, num_classes: int) -> list[int]:
        if self.cover_classes is not None:
            return list(self.cover_classes)
        return [
            label
            for label in range(num_classes)
            if label not in (self.target, self._source(num_classes))
        ]
