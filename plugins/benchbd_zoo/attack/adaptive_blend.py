"""Adap-Blend (Qi, Xie, Li, Mahloujifar, Mittal, ICLR 2023, "Revisiting the Assumption of Latent
Separability").

    1. the picture k is cut into `pieces`; of every training image with the trigger a share
       `mask_rate` of them is left out, drawn anew for each:
           x' = x + alpha * m * (k - x)        m: 0 where a piece is left out
    2. poisoned samples are labelled with the target; `cover_ratio` of the samples are stamped
       likewise and keep their label, so that poisoned samples do not stand apart in the features
    3. test images get the whole picture:      x' = x + alpha_test * (k - x)

Poisoned and cover samples are drawn from all classes, without overlap.

Departs from the paper: the bundled picture is a sunrise computed by a formula, not a cartoon;
`image` takes any other.
"""

from __future__ import annotations

from math import isqrt
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from benchbd.api import BuildModel, ConfigError, ImageSet, NotApplicable, Recipe, param
from benchbd_zoo.attack.parts.cover import Covered
from benchbd_zoo.attack.parts.picture import Pattern, whole_picture


class AdaptiveBlend(Covered):
    """Faint and partial in training, whole at test time; the rates are those of CIFAR-10."""

    api = 1
    quick: ClassVar[dict[str, Any]] = {"poison_ratio": 0.1, "cover_ratio": 0.1}

    poison_ratio: float = param(0.003, "share of the samples that are poisoned", ge=0, le=1)
    eligible: Literal["non_target", "all", "target"] = param(
        "all", "which training samples may be poisoned, by their true label"
    )
    alpha: float = param(0.15, "weight of the picture in training images", ge=0, le=1)
    alpha_test: float = param(0.2, "weight of the picture in test images", ge=0, le=1)
    pieces: int = param(16, "pieces that the picture is cut into, a square number", ge=1)
    mask_rate: float = param(
        0.5, "share of the pieces that is left out of each training image", ge=0, lt=1
    )
    pattern: Pattern = param(
        "picture", "what is mixed in: the bundled sunrise, or uniform noise drawn once"
    )
    image: Path | None = param(
        None, "picture file to mix in instead of the pattern, resized to the images"
    )

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        self._require_side(train)
        return {
            "pattern": whole_picture(self.image, self.pattern, train.image_shape, self.name, rng)
        }

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return images.float().lerp_(self.trigger["pattern"].float(), self.alpha_test)

    def stamp_poison(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        picture, weight = self.trigger["pattern"].float(), self.alpha * self._mask(images, rng)
        return images + weight * (picture - images)

    def _mask(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """(N, 1, H, W): 1 where a piece of the picture is kept, 0 where it is left out; a draw for
        every image.
        """
        count, _, height, width = images.shape
        side = isqrt(self.pieces)
        order = torch.rand(count, self.pieces, generator=rng).argsort(1)
        kept = (
            (order.argsort(1) >= round(self.mask_rate * self.pieces))
            .float()
            .reshape(count, 1, side, side)
        )
        rows, columns = (torch.arange(length) * side // length for length in (height, width))
        return kept[:, :, rows][:, :, :, columns]

    def _require_side(self, images: ImageSet) -> None:
        _, height, width = images.image_shape
        side = isqrt(self.pieces)
        if side**2 != self.pieces:
            raise ConfigError(
                f"{self.name}: expected pieces to be a square number such as {side**2}, got "
                f"{self.pieces}"
            )
        if side > min(height, width):
            raise NotApplicable(
                f"images of {height}x{width} cannot be cut into {side}x{side} pieces; lower pieces"
            )
