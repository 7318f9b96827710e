"""Attention maps on known tensors; stages of networks of every kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import ImageSet
from benchbd.engine.classifier import Classifier
from benchbd.plugin.registry import create
from benchbd_zoo.defense.parts.attention import attention, stages
from support.tiny_networks import Network


def test_the_map_of_a_known_tensor() -> None:
    """Two channels over 1x2 places: squares add up to 1 + 4 = 5 and 9 + 3 = 12, of norm 13."""
    maps = torch.tensor([[[[1.0, 3.0]], [[-2.0, 3.0**0.5]]]])
    assert attention(maps, 2.0).tolist() == [pytest.approx([5 / 13, 12 / 13], abs=1e-5)]
    assert attention(maps, 1.0)[0, 0] / attention(maps, 1.0)[0, 1] == pytest.approx(
        3 / (3 + 3**0.5), rel=1e-5
    )


def test_tokens_have_a_map_over_tokens() -> None:
    tokens = torch.rand(5, 7, 3, generator=torch.Generator().manual_seed(0))
    squares = (tokens.double().numpy() ** 2).sum(2)
    np.testing.assert_allclose(
        attention(tokens, 2.0), squares / np.linalg.norm(squares, axis=1, keepdims=True), rtol=1e-4
    )


def test_nothing_seen_is_no_division_by_zero() -> None:
    assert attention(torch.zeros(2, 3, 4, 4), 2.0).abs().max() == 0


class Squeezed(nn.Module):
    """A block that halves the size, with a squeeze inside and a convolution of the old
    size first.
    """

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(inside, outside, 1)
        self.depth = nn.Conv2d(outside, outside, 3, stride, 1)
        self.pool, self.squeeze = nn.AdaptiveAvgPool2d(1), nn.Conv2d(outside, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.depth(self.expand(x))
        return maps * torch.sigmoid(self.squeeze(self.pool(maps)))  # type: ignore[no-any-return]


class Staged(nn.Module):
    """Three sizes; one ReLU serves two places, and the last map has a single place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.relu = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True)
        self.one = Squeezed(4, 4, 1)
        self.two = nn.Sequential(Squeezed(4, 6, 2), Squeezed(6, 6, 1))
        self.three, self.end = nn.Conv2d(6, 6, 3, 2, 1), nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.two(self.relu(self.one(self.relu(self.stem(x)))))
        return self.end(F.relu(self.three(maps))).flatten(1)  # type: ignore[no-any-return]


def staged() -> Classifier:
    return Classifier(Network(Staged()), (0.5,) * 3, (0.2,) * 3)


def test_stages_end_where_the_size_changes() -> None:
    found = stages(staged(), torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    assert found == {
        "network.body.one": (8, 8),
        "network.body.two.1": (4, 4),
        "network.body.three": (2, 2),
    }


def test_finding_stages_leaves_nothing_behind() -> None:
    model = staged().train()
    stages(model, torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    assert model.training and not any(
        m._forward_hooks or m._forward_pre_hooks for m in model.modules()
    )


@pytest.mark.parametrize(
    ("name", "side", "expected"),
    [
        ("resnet_small", 16, ["stages.0", "stages.1", "stages.2"]),
        ("preact_resnet18", 16, ["layer1", "layer2.1", "layer3.1", "layer4.1"]),
        ("vgg19_bn", 32, ["layers.5", "layers.12", "layers.25", "layers.38", "layers.51"]),
        (
            "timm:mobilenetv2_050",
            32,
            ["body.blocks.0", "body.blocks.1.1", "body.blocks.2.2", "body.blocks.4"],
        ),
        ("timm:test_vit", 32, ["body.patch_embed.proj"]),
    ],
)
def test_stages_of_known_networks(name: str, side: int, expected: list[str]) -> None:
    images = ImageSet(
        torch.randint(0, 256, (4, 3, side, side), dtype=torch.uint8),
        torch.arange(4) % 2,
        ("a", "b"),
    )
    model = create("model", name).classifier(images, seed=0)
    assert list(stages(model, images.images[:1])) == [f"network.{layer}" for layer in expected]
