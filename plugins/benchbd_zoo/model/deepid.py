"""DeepID (Sun, Wang, Tang, "Deep Learning Face Representation from Predicting 10,000 Classes", CVPR
2014).

    h1 = pool(relu(conv_1(x)))     20 maps of 4x4
    h2 = pool(relu(conv_2(h1)))    40 maps of 3x3
    h3 = pool(relu(conv_3(h2)))    60 maps of 3x3
    h4 = relu(conv_4(h3))          80 maps of 2x2
    y  = relu(fc_1(h3) + fc_2(h4))    160 features

No convolution is padded; a pool takes the maximum of 2x2 and drops an odd last row or column. Faces
of 55x47 pixels arrive at fc_1 as 60 maps of 5x4, and at fc_2 as 80 maps of 4x3.

Departs from the paper: the input is the RGB face of 55x47 that work on backdoors uses, not patches
of faces, and all places of a map share their weights in conv_3 and conv_4 too.
"""

from __future__ import annotations

import re
from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import ImageShape, Model, NotApplicable

KERNELS = (4, 3, 3)
"""Sides of the convolutions that a pool follows; conv_4 of side 2 reads what is left."""


class DeepID(Model):
    """Made for RGB faces 55 pixels high and 47 wide; takes any image of at least 31x31 pixels."""

    api = 1

    def build(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
        channels, *sides = image_shape
        height, width = (_pooled(side) for side in sides)
        if min(height, width) < 2:
            raise NotApplicable(
                "deepid needs images of at least 31x31 pixels to fill its conv_4, got "
                f"{sides[0]}x{sides[1]}"
            )
        return _Network(channels, height, width, num_classes)

    @classmethod
    def recognise(cls, name: str) -> Self | None:
        return cls() if name.lower() == "deepid" else None

    @property
    def foreign_name(self) -> str:
        return "deepid"

    def foreign_names(self, network: nn.Module) -> dict[str, str]:
        """Elsewhere the head is called `output`."""
        return {name: re.sub(r"^head\.", "output.", name) for name in network.state_dict()}

    def flattened(self, image_shape: ImageShape) -> dict[str, ImageShape]:
        height, width = (_pooled(side) for side in image_shape[1:])
        return {"fc_1": (60, height, width), "fc_2": (80, height - 1, width - 1)}


def _pooled(side: int) -> int:
    """What three convolutions and pools leave of a side of the image."""
    for kernel in KERNELS:
        side = (side - kernel + 1) // 2
    return side


class _Network(nn.Module):
    """`height` and `width` are those of the map after the third pool."""

    def __init__(self, channels: int, height: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(channels, 20, KERNELS[0])
        self.conv_2 = nn.Conv2d(20, 40, KERNELS[1])
        self.conv_3 = nn.Conv2d(40, 60, KERNELS[2])
        self.conv_4 = nn.Conv2d(60, 80, 2)
        self.fc_1 = nn.Linear(60 * height * width, 160)
        self.fc_2 = nn.Linear(80 * (height - 1) * (width - 1), 160)
        self.head = nn.Linear(160, num_classes)

    def features(self, images: Tensor) -> Tensor:
        maps = images
        for convolution in (self.conv_1, self.conv_2, self.conv_3):
            maps = F.max_pool2d(F.relu(convolution(maps)), 2)
        last = F.relu(self.conv_4(maps))
        return F.relu(self.fc_1(maps.flatten(1)) + self.fc_2(last.flatten(1)))
