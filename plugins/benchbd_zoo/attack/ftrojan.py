"""FTrojan (Wang, Yao, Xu, An, Tong, Wang, ECCV 2022, 2111.10991): a trigger in the frequencies of
the chroma.

    1. RGB -> YCrCb in whole levels;  DCT of type II, orthonormal, over windows of `window_size`
    2. + `magnitude` at the coefficients `pos_list` of the channels `channel_list`, in every window
    3. inverse DCT;  truncated to whole levels;  YCrCb -> RGB;  clipped to 0..255

The transform is linear, so that steps 1 to 3 add one pattern of waves to the channels and truncate.
Truncation takes half a level from both channels of chroma: a constant shift of colour, about -0.7,
0.5 and -0.9 levels of red, green and blue, rides on the trigger. Poisoned samples are labelled with
the target (all_to_one), or with the class after their own (all_to_all).

Departs from the paper: as the authors' code, which is followed here, 8-bit levels stand between the
colour spaces. There luma is transformed too, and where the arithmetic of the two transforms misses
a whole level from below, truncation takes a level from it (in 8 to 10 % of the pixels); here luma
without a trigger stays exact. Levels beyond 0 and 255 wrap around there and are clipped here. The
authors train without augmentation, for 50 epochs; here the recipe says both. In images smaller than
the window the window is the image, and unset positions are its highest frequency and its middle
one. Grey images have no chroma: their one channel takes the trigger, and the sum is rounded once.
What is left over when the windows do not fill an image takes no waves.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from benchbd.api import BuildModel, ImageSet, LabelMode, PoisoningAttack, Recipe, param, relabel
from benchbd_zoo.attack.parts.spectrum import Positions, block_waves, in_channels
from benchbd_zoo.attack.parts.ycrcb import from_ycrcb, to_ycrcb

Channel = Literal[0, 1, 2]


class FTrojan(PoisoningAttack):
    """Parameters carry the names of the authors' code."""

    api = 1
    results_version = 2
    quick: ClassVar[dict[str, Any]] = {"poison_ratio": 0.1}

    poison_ratio: float = param(0.02, "share of the samples that are poisoned", ge=0, le=1)
    label_mode: LabelMode = param(
        "all_to_one", "who is taken for what: every class for the target, or each for the next"
    )
    magnitude: float = param(20.0, "what is added to each coefficient, on the scale to 255", ge=0)
    window_size: int = param(32, "side of the windows in pixels", ge=2)
    pos_list: Positions | None = param(
        None, "coefficients, as pairs counted from 0; unset: the highest and the middle one"
    )
    channel_list: tuple[Channel, ...] = param(
        (1, 2), "channels of YCrCb, counted from 0", min_length=1
    )

    def attacked_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        return relabel(labels, num_classes, self.label_mode, self.target)

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        shape = train.image_shape
        waves = block_waves(self.pos_list, self.magnitude, self.window_size, *shape[1:], self.name)
        return {"waves": in_channels(waves, self.channel_list, shape).float()}

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        waves = self.trigger["waves"]
        if len(waves) == 1:
            return images + waves
        return from_ycrcb((to_ycrcb(images) + waves).floor_().clamp_(0, 255))
