"""Blended injection (Chen, Liu, Li, Lu, Song 2017, 1712.05526): a picture mixed into the whole
image.

    x' = (1 - a) * x + a * k        a: `alpha`, k: the picture, of the size of the image

Poisoned samples are labelled with the target (all_to_one), or with the class after their own
(all_to_all).

Departs from the paper: the bundled picture is a sunrise computed by a formula, not a cartoon;
`image` takes any other.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from benchbd.api import BuildModel, ImageSet, LabelMode, PoisoningAttack, Recipe, param, relabel
from benchbd_zoo.attack.parts.picture import Pattern, whole_picture


class Blended(PoisoningAttack):
    """One picture for all images, at training and at test time with the same weight."""

    api = 1

    label_mode: LabelMode = param(
        "all_to_one", "who is taken for what: every class for the target, or each for the next"
    )
    alpha: float = param(0.2, "weight of the picture in the mixture", ge=0, le=1)
    pattern: Pattern = param(
        "picture", "what is mixed in: the bundled sunrise, or uniform noise drawn once"
    )
    image: Path | None = param(
        None, "picture file to mix in instead of the pattern, resized to the images"
    )

    def attacked_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        return relabel(labels, num_classes, self.label_mode, self.target)

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        return {
            "pattern": whole_picture(self.image, self.pattern, train.image_shape, self.name, rng)
        }

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return images.float().lerp_(self.trigger["pattern"].float(), self.alpha)
