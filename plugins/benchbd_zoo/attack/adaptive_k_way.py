"""Adap-K-Way (Qi, Xie, Li, Mahloujifar, Mittal, ICLR 2023, "Revisiting the Assumption of Latent
Separability"): a trigger of single pixels, of which a training image shows one, a test image all.

    1. K = 4 pixels p_1..p_4, each with a colour; a training image gets one of them, the images
       being divided equally among the four
    2. poisoned samples are labelled with the target; `cover_ratio` of the samples get a pixel
       likewise and keep their label
    3. test images get all four at once

Poisoned and cover samples are drawn from all classes, without overlap.

Departs from the paper: the four colours are drawn once, from the darker half of all levels; the
authors' are four given ones, dark, too. Positions are theirs at 32x32 pixels, row and column (16,
11), (27, 5), (7, 30) and (22, 22), and lie in the same part of images of other sizes. The authors'
code sorts the samples before it divides them; here it is by chance which sample gets which pixel.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from benchbd.api import BuildModel, ImageSet, NotApplicable, Recipe, param
from benchbd_zoo.attack.parts.cover import Covered

PLACES = ((16, 11), (27, 5), (7, 30), (22, 22))
"""Row and column of each pixel in images of 32x32."""

USUAL = 32


class AdaptiveKWay(Covered):
    """The rates are those of CIFAR-10; one pixel in training, all of them at test time."""

    api = 1
    quick: ClassVar[dict[str, Any]] = {"poison_ratio": 0.1, "cover_ratio": 0.1}

    poison_ratio: float = param(0.003, "share of the samples that are poisoned", ge=0, le=1)
    cover_ratio: float = param(
        0.01, "share of the samples that carry a pixel and keep their label", ge=0, le=1
    )
    eligible: Literal["non_target", "all", "target"] = param(
        "all", "which training samples may be poisoned, by their true label"
    )

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        channels, height, width = train.image_shape
        places = torch.tensor(
            [(row * height // USUAL, column * width // USUAL) for row, column in PLACES]
        )
        if len(places.unique(dim=0)) < len(PLACES):
            raise NotApplicable(
                f"four pixels cannot be kept apart in images of {height}x{width} pixels"
            )
        shape = (len(PLACES), channels)
        return {
            "places": places,
            "colours": torch.randint(0, 128, shape, generator=rng, dtype=torch.uint8),
        }

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        stamped = images.clone()
        rows, columns = self.trigger["places"].T
        stamped[:, :, rows, columns] = self.trigger["colours"].T
        return stamped

    def stamp_poison(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        # the images come in the order in which they were drawn, so dealing them out in turn divides
        # them at random
        image = torch.arange(len(images))
        number = image % len(PLACES)
        rows, columns = self.trigger["places"][number].T
        stamped = images.clone()
        stamped[image, :, rows, columns] = self.trigger["colours"][number]
        return stamped
