"""VGG-19 (Simonyan, Zisserman 2014, 1409.1556) with batch normalisation (Ioffe, Szegedy 2015,
1502.03167), for small images.

Sixteen 3x3 convolutions in five groups, each followed by normalisation and ReLU, a 2x2 max pool
after each group.

Departs from the paper: the mean over all places (512 features) and one linear layer stand for the
three dense layers.
"""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn

from benchbd.api import ImageShape, Model, NotApplicable

GROUPS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and convolutions of each group."""

SMALLEST = 2 ** len(GROUPS)


class VGG19BN(Model):
    """20 million weights; five pools leave one place of images of 32 pixels, the smallest that it
    takes.
    """

    api = 1

    def build(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
        channels, height, width = image_shape
        if min(height, width) < SMALLEST:
            raise NotApplicable(
                f"vgg19_bn halves images {len(GROUPS)} times and needs at least "
                f"{SMALLEST}x{SMALLEST} pixels, got {height}x{width}"
            )
        return _Network(channels, num_classes)

    @classmethod
    def recognise(cls, name: str) -> Self | None:
        return cls() if name.lower() in ("vgg19_bn", "vgg19") else None

    @property
    def foreign_name(self) -> str:
        return "vgg19_bn"

    def foreign_names(self, network: nn.Module) -> dict[str, str]:
        """Elsewhere the layers are called `features`, and the head `classifier`."""
        elsewhere = {"layers": "features", "head": "classifier"}
        parts = {name: name.partition(".") for name in network.state_dict()}
        return {name: f"{elsewhere[first]}.{rest}" for name, (first, _, rest) in parts.items()}


class _Network(nn.Module):
    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, convolutions in GROUPS:
            for _ in range(convolutions):
                layers += [
                    nn.Conv2d(channels, width, 3, padding=1),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(channels, num_classes)

    def features(self, images: Tensor) -> Tensor:
        return self.layers(images).mean((2, 3))  # type: ignore[no-any-return]
