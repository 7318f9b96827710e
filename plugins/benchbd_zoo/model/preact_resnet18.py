"""Pre-activation ResNet-18 for small images (He, Zhang, Ren, Sun 2016, "Identity Mappings in Deep
Residual Networks", 1603.05027).

    block:  x' = shortcut(x) + conv2(relu(bn2(conv1(relu(bn1(x))))))

A 3x3 convolution, then four stages of two blocks with 1, 2, 4 and 8 times `width` channels, each
stage but the first halving the image, then the mean over all places. Where the shape changes, the
shortcut is a 1x1 convolution of relu(bn1(x)); elsewhere it is x.

Departs from the paper: no normalisation after the last block, as is usual for this network in work
on backdoors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import ImageShape, Model, param


class PreActResNet18(Model):
    """11.2 million weights for 10 classes; takes images of any size."""

    api = 1

    width: int = param(
        64,
        "channels of the first stage; doubled at each of the three further stages",
        ge=1,
        le=1024,
    )

    def build(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
        return _Network(image_shape[0], self.width, num_classes)

    @classmethod
    def recognise(cls, name: str) -> Self | None:
        return cls() if name.lower() in ("preactresnet18", "preact_resnet18") else None

    @property
    def foreign_name(self) -> str:
        return "preactresnet18"

    def fitted(self, state: Mapping[str, Tensor]) -> Self:
        stem = state.get("conv1.weight")
        return self if stem is None else self.model_copy(update={"width": len(stem)})

    def foreign_names(self, network: nn.Module) -> dict[str, str]:
        """Elsewhere the head is called `linear`, and a shortcut is a sequence of one layer."""
        return {
            name: re.sub(r"^head\.", "linear.", name).replace("shortcut.", "shortcut.0.")
            for name in network.state_dict()
        }


class _Network(nn.Module):
    def __init__(self, channels: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.layer1 = _stage(width, width, stride=1)
        self.layer2 = _stage(width, 2 * width, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, stride=2)
        self.layer4 = _stage(4 * width, 8 * width, stride=2)
        self.head = nn.Linear(8 * width, num_classes)

    def features(self, images: Tensor) -> Tensor:
        maps = self.layer2(self.layer1(self.conv1(images)))
        return self.layer4(self.layer3(maps)).mean((2, 3))  # type: ignore[no-any-return]


def _stage(inside: int, outside: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_Block(inside, outside, stride), _Block(outside, outside, stride=1))


class _Block(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inside)
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        reshaped = stride != 1 or inside != outside
        self.shortcut = nn.Conv2d(inside, outside, 1, stride, bias=False) if reshaped else None

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        branch = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return branch + (x if self.shortcut is None else self.shortcut(active))  # type: ignore[no-any-return]
