"""ResNet-9 (Page 2018, "How to Train Your ResNet"): five convolutions and two residual pairs,
learned in a few epochs.

    conv w - conv 2w, pool, + pair - conv 4w, pool - conv 8w, pool, + pair - largest value of each
    channel - head

Every convolution is followed by BatchNorm and ReLU. Departs from the source: `width` w is 16
instead of 64, for a CPU, which leaves a sixteenth of the work and 413,000 weights; logits are not
scaled.
"""

from __future__ import annotations

from torch import Tensor, nn

from benchbd.api import ImageShape, Model, NotApplicable, param

SMALLEST = 8
"""Side of an image that survives three halvings."""


class ResNet9(Model):
    """For small images, from 8 pixels."""

    api = 1

    width: int = param(16, "channels of the first convolution; doubled three times", ge=1, le=512)

    def build(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
        if min(image_shape[1:]) < SMALLEST:
            raise NotApplicable(
                f"resnet9 halves images three times; it needs {SMALLEST} pixels, these have "
                f"{image_shape[1:]}"
            )
        return _Network(image_shape[0], self.width, num_classes)


class _Network(nn.Module):
    def __init__(self, channels: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.stem = _Conv(channels, width)
        self.stage1 = nn.Sequential(_Conv(width, 2 * width), nn.MaxPool2d(2), _Pair(2 * width))
        self.stage2 = nn.Sequential(_Conv(2 * width, 4 * width), nn.MaxPool2d(2))
        self.stage3 = nn.Sequential(_Conv(4 * width, 8 * width), nn.MaxPool2d(2), _Pair(8 * width))
        self.head = nn.Linear(8 * width, num_classes)

    def features(self, images: Tensor) -> Tensor:
        return self.stage3(self.stage2(self.stage1(self.stem(images)))).amax((2, 3))  # type: ignore[no-any-return]


class _Conv(nn.Sequential):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(
            nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
        )


class _Pair(nn.Module):
    """Two convolutions whose result is added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _Conv(width, width), _Conv(width, width)

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.second(self.first(maps))  # type: ignore[no-any-return]
