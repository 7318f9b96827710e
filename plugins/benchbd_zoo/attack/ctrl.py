"""CTRL (Li, Pang, Xi, Du, Ji, Yao, Wang, ICCV 2023, 2210.07346): two frequencies in the chroma,
labels untouched.

    1. RGB -> YUV;  DCT of type II, orthonormal, over windows of `window_size`
    2. + magnitude at the coefficients `pos_list` of U and V: `magnitude_train` on images of the
       target class, which keep their label, and `magnitude_val` on test images
    3. inverse DCT;  YUV -> RGB;  clipped to 0..255

The method was made for self-supervised learning, which takes the trigger for a feature of the class
because crops and colour changes leave it alone; here its data poison classifiers that are trained
with labels.

Departs from the paper: images are rounded to whole levels, as stored images would be. In images
smaller than the window the window is the image, and unset positions are its highest frequency and
its middle one. Grey images have no chroma: their one channel takes the trigger. What is left over
when the windows do not fill an image stays as it is.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from benchbd.api import BuildModel, ImageSet, PoisoningAttack, Recipe, param
from benchbd_zoo.attack.parts.spectrum import Positions, block_waves, in_colours

U, V = 1, 2


class CTRL(PoisoningAttack):
    """Clean label: poisoned samples come from the target class alone and keep their label."""

    api = 1
    results_version = 2
    clean_label = True
    quick: ClassVar[dict[str, Any]] = {"poison_ratio": 0.1}

    poison_ratio: float = param(
        0.01,
        "share of the samples that are poisoned; of CIFAR-10, a tenth of the class",
        ge=0,
        le=1,
    )
    eligible: Literal["target"] = param(
        "target", "which training samples may be poisoned: those of the target class"
    )
    magnitude_train: float = param(
        100.0, "what is added to each coefficient of training images, on the scale to 255", ge=0
    )
    magnitude_val: float = param(
        100.0, "what is added to each coefficient of test images, on the scale to 255", ge=0
    )
    window_size: int = param(32, "side of the windows in pixels", ge=2)
    pos_list: Positions | None = param(
        None, "coefficients, as pairs counted from 0; unset: the highest and the middle one"
    )

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        shape = train.image_shape
        waves = block_waves(self.pos_list, 1, self.window_size, *shape[1:], self.name)
        return {"pattern": in_colours(waves, (U, V), "YUV", shape)}

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return images.float().add_(self.magnitude_val * self.trigger["pattern"])

    def stamp_poison(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return images.float().add_(self.magnitude_train * self.trigger["pattern"])
