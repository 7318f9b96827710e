"""A small residual network for small images and a CPU: three stages of basic blocks (He et al.
2016, 1512.03385).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import ImageShape, Model, param


class ResNetSmall(Model):
    """ResNet-(6n+2) of the CIFAR experiments; with one block per stage and 16 channels, ResNet-8 of
    78,000 weights.
    """

    api = 1

    width: int = param(
        16, "channels of the first stage; doubled at each of the two further stages", ge=1, le=1024
    )
    blocks: int = param(1, "basic blocks per stage", ge=1, le=100)

    def build(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
        return _Network(image_shape[0], self.width, self.blocks, num_classes)


class _Network(nn.Module):
    def __init__(self, channels: int, width: int, blocks: int, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        stages: list[nn.Module] = []
        inside = width
        for stage in range(3):
            outside = width * 2**stage
            for block in range(blocks):
                stages.append(_Block(inside, outside, stride=2 if stage and not block else 1))
                inside = outside
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(inside, num_classes)

    def features(self, images: Tensor) -> Tensor:
        return self.stages(F.relu(self.bn(self.conv(images)))).mean((2, 3))  # type: ignore[no-any-return]


class _Block(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inside != outside:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )

    def forward(self, x: Tensor) -> Tensor:
        branch = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(branch + self.shortcut(x))
