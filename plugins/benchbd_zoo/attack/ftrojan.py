"""FTrojan (Wang, Yao, Xu, An, Tong, Wang, ECCV 2022, 2111.10991): a trigger in the frequencies of
the chroma.

    1. RGB -> YCrCb;  DCT of type II, orthonormal, over windows of `window_size`
    2. + `magnitude` at the coefficients `pos_list` of the channels `channel_list`, in every window
    3. inverse DCT;  YCrCb -> RGB;  clipped to 0..255

All of it is linear up to the clipping, so the trigger is one pattern that is added. Poisoned
samples are labelled with the target.

Departs from the paper: the authors' code passes through whole levels at both changes of colour
space and truncates there, which adds a constant shift of colour to the trigger (-0.76, 0.46, -0.95
levels of red, green and blue); here an image is rounded once, at the end. The authors train without
augmentation; here the recipe says. In images smaller than the window the window is
the image, and unset positions are its highest frequency and its middle one. Grey images have no
chroma: their one channel takes the trigger. What is left over when the windows do not fill an image
stays as it is.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from benchbd.api import BuildModel, ImageSet, PoisoningAttack, Recipe, param
from benchbd_zoo.attack.parts.spectrum import Positions, block_waves, in_colours

Channel = Literal[0, 1, 2]


class FTrojan(PoisoningAttack):
    """Parameters carry the names of the authors' code."""

    api = 1
    quick: ClassVar[dict[str, Any]] = {"poison_ratio": 0.1}

    poison_ratio: float = param(0.02, "share of the samples that are poisoned", ge=0, le=1)
    magnitude: float = param(20.0, "what is added to each coefficient, on the scale to 255", ge=0)
    window_size: int = param(32, "side of the windows in pixels", ge=2)
    pos_list: Positions | None = param(
        None, "coefficients, as pairs counted from 0; unset: the highest and the middle one"
    )
    channel_list: tuple[Channel, ...] = param(
        (1, 2), "channels of YCrCb, counted from 0", min_length=1
    )

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        shape = train.image_shape
        waves = block_waves(self.pos_list, self.magnitude, self.window_size, *shape[1:], self.name)
        return {"pattern": in_colours(waves, self.channel_list, "YCrCb", shape)}

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return images.float().add_(self.trigger["pattern"])
