from __future__ import annotations

import pytest
import torch
from torch import nn

from benchbd.errors import NotApplicable
from benchbd_zoo.model.vgg19_bn import VGG19BN

CONVOLUTIONS = [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8
"""Configuration E of the paper."""


@pytest.mark.parametrize(("height", "width"), [(16, 16), (31, 64), (64, 31)])
def test_refuses_images_that_five_pools_would_use_up(height: int, width: int) -> None:
    with pytest.raises(NotApplicable, match=f"at least 32x32 pixels, got {height}x{width}"):
        VGG19BN().build(10, (3, height, width))


def test_layers_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        network = VGG19BN().build(10, (3, 32, 32))
    assert [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)] == CONVOLUTIONS
    inside = [3, *CONVOLUTIONS[:-1]]
    convolutions = sum(9 * i * o + o for i, o in zip(inside, CONVOLUTIONS, strict=True))
    norms = 2 * sum(CONVOLUTIONS)
    assert sum(p.numel() for p in network.parameters()) == convolutions + norms + 512 * 10 + 10


def test_larger_images_are_averaged() -> None:
    with torch.device("meta"):
        network = VGG19BN().build(10, (1, 96, 64))
        assert network.layers(torch.zeros(2, 1, 96, 64)).shape == (2, 512, 3, 2)
        assert network.features(torch.zeros(2, 1, 96, 64)).shape == (2, 512)
