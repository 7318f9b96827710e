"""ResNet-9: its layers as its author draws them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchbd.api import NotApplicable
from benchbd_zoo.model.resnet9 import ResNet9


def test_number_of_weights_of_the_original() -> None:
    """Width 64 as published: every convolution with its BatchNorm, and the head."""
    widths = [
        (3, 64),
        (64, 128),
        (128, 128),
        (128, 128),
        (128, 256),
        (256, 512),
        (512, 512),
        (512, 512),
    ]
    expected = sum(9 * a * b + 2 * b for a, b in widths) + 512 * 10 + 10
    network = ResNet9(width=64).build(10, (3, 32, 32))
    assert sum(p.numel() for p in network.parameters()) == expected


def test_a_silent_pair_passes_its_input_on() -> None:
    network = ResNet9(width=2).build(3, (1, 16, 16)).eval()
    pair = network.stage1[2]  # type: ignore[index, union-attr]
    with torch.no_grad():
        for module in pair.modules():  # type: ignore[union-attr]
            if isinstance(module, nn.BatchNorm2d):
                module.weight.zero_()
    maps = torch.rand(2, 4, 8, 8)
    assert torch.equal(pair(maps), maps)  # type: ignore[operator]


def test_images_too_small_to_halve_three_times() -> None:
    with pytest.raises(NotApplicable, match="needs 8 pixels"):
        ResNet9().build(3, (1, 7, 9))
