from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchbd_zoo.model.preact_resnet18 import PreActResNet18


def weights(width: int, channels: int, classes: int) -> int:
    """Two norms and two 3x3 convolutions per block, a 1x1 shortcut where a stage
    changes the shape.
    """
    total, inside = 9 * channels * width, width
    for outside in (width, 2 * width, 4 * width, 8 * width):
        total += 2 * inside + 9 * inside * outside + 2 * outside + 9 * outside**2
        total += inside * outside if outside != inside else 0
        total += 2 * (2 * outside + 9 * outside**2)
        inside = outside
    return total + 8 * width * classes + classes


@pytest.mark.parametrize(("width", "channels", "classes"), [(64, 3, 10), (16, 1, 43)])
def test_number_of_weights(width: int, channels: int, classes: int) -> None:
    network = PreActResNet18(width=width).build(classes, (channels, 32, 32))
    assert sum(p.numel() for p in network.parameters()) == weights(width, channels, classes)


def test_number_of_weights_is_the_one_reported_for_cifar10() -> None:
    network = PreActResNet18().build(10, (3, 32, 32))
    assert sum(p.numel() for p in network.parameters()) == 11_171_146


@torch.no_grad()
def only_shortcuts(last: float) -> nn.Module:
    """Width 1, every branch zero, every shortcut one (that of the last stage `last`), the first
    layer an identity.
    """
    network = PreActResNet18(width=1).build(2, (1, 16, 16)).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("conv2.weight"):
            parameter.zero_()
        elif name.endswith("shortcut.weight"):
            parameter.fill_(last if name.startswith("layer4") else 1.0)
    network.conv1.weight.copy_(torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]]))
    return network


@pytest.mark.parametrize(
    ("pixel", "last", "feature"),
    [
        (3.0, 1.0, 24.0),  # 1, 2 and 4 channels are summed on the way: 3 * 1 * 2 * 4
        (3.0, -1.0, -24.0),  # neither norm nor activation after the last block
        (-3.0, 1.0, 0.0),  # a shortcut reads the activated input
    ],
)
@torch.no_grad()
def test_the_way_along_the_shortcuts(pixel: float, last: float, feature: float) -> None:
    found: Tensor = only_shortcuts(last).features(torch.full((1, 1, 16, 16), pixel))
    torch.testing.assert_close(found, torch.full((1, 8), feature), rtol=1e-4, atol=1e-6)


def test_the_map_is_halved_three_times() -> None:
    network = PreActResNet18(width=2).build(2, (3, 32, 20))
    shapes: list[tuple[int, ...]] = []
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        stage.register_forward_hook(
            lambda module, inputs, output: shapes.append(tuple(output.shape[1:]))
        )
    network.features(torch.zeros(2, 3, 32, 20))
    assert shapes == [(2, 32, 20), (4, 16, 10), (8, 8, 5), (16, 4, 3)]
