"""Three small architectures that a defense must cope with, or say that it does not apply."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import ImageShape, Model, prepare_torchvision


class Residual(Model):
    """Two basic blocks with BatchNorm."""

    api = 1
    name = "residual"

    def build(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
        blocks = nn.Sequential(_Block(image_shape[0], 8), _Block(8, 16))
        return _Network(blocks, 16, num_classes)


class VGG(Model):
    """Convolutions with BatchNorm in a row, with a fully connected layer before the head."""

    api = 1
    name = "vgg_bn"

    def build(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
        layers: list[nn.Module] = []
        for inside, outside in ((image_shape[0], 8), (8, 16), (16, 16)):
            layers += [
                nn.Conv2d(inside, outside, 3, padding=1),
                nn.BatchNorm2d(outside),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        pooled = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 24), nn.ReLU()
        )
        return _Network(pooled, 24, num_classes, pool=False)


class Transformer(Model):
    """timm's vision transformer with two blocks; it has LayerNorm and no BatchNorm."""

    api = 1
    name = "transformer"

    def build(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
        prepare_torchvision()
        from timm.models.vision_transformer import VisionTransformer

        channels, size = image_shape[0], image_shape[1:]
        body = VisionTransformer(
            img_size=size,
            patch_size=4,
            in_chans=channels,
            num_classes=0,
            embed_dim=24,
            depth=2,
            num_heads=2,
            mlp_ratio=2,
        )
        return _Network(body, 24, num_classes, pool=False)


class _Network(nn.Module):
    def __init__(self, body: nn.Module, width: int, num_classes: int, pool: bool = True) -> None:
        super().__init__()
        self.body = body
        self.pool = nn.AdaptiveAvgPool2d(1) if pool else nn.Identity()
        self.head = nn.Linear(width, num_classes)

    def features(self, images: Tensor) -> Tensor:
        return self.pool(self.body(images)).flatten(1)  # type: ignore[no-any-return]


class _Block(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = (
            nn.Conv2d(inside, outside, 3, 2, 1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.conv2, self.bn2 = (
            nn.Conv2d(outside, outside, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(inside, outside, 1, 2, bias=False), nn.BatchNorm2d(outside)
        )

    def forward(self, x: Tensor) -> Tensor:
        branch = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(branch + self.shortcut(x))
