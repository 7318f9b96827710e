from __future__ import annotations

import pytest
import torch

from benchbd.errors import NotApplicable
from benchbd_zoo.model.deepid import DeepID

FACE = (3, 55, 47)


def test_maps_of_a_face() -> None:
    """52x44 -> 26x22 -> 24x20 -> 12x10 -> 10x8 -> 5x4 -> 4x3, without padding."""
    network = DeepID().build(7, FACE)
    shapes = {}
    for name, module in network.named_children():
        module.register_forward_hook(
            lambda m, i, o, name=name: shapes.update({name: tuple(o.shape[1:])})
        )
    network.head(network.features(torch.zeros(2, *FACE)))
    assert shapes == {
        "conv_1": (20, 52, 44),
        "conv_2": (40, 24, 20),
        "conv_3": (60, 10, 8),
        "conv_4": (80, 4, 3),
        "fc_1": (160,),
        "fc_2": (160,),
        "head": (7,),
    }


def test_number_of_weights() -> None:
    """980 + 7,240 + 21,660 + 19,280 in the convolutions, (1,200 + 1) * 160 and (960 + 1) * 160, and
    161 for each class.
    """
    network = DeepID().build(1283, FACE)
    convolutions = (3 * 16 + 1) * 20 + (20 * 9 + 1) * 40 + (40 * 9 + 1) * 60 + (60 * 4 + 1) * 80
    assert convolutions == 49_160
    assert (
        sum(p.numel() for p in network.parameters())
        == convolutions + 1201 * 160 + 961 * 160 + 161 * 1283
        == 601_643
    )


@pytest.mark.parametrize(
    ("first", "second", "feature"), [(1.0, 2.0, 3.0), (1.0, -3.0, 0.0), (-1.0, 4.0, 3.0)]
)
@torch.no_grad()
def test_both_dense_layers_are_added_before_the_activation(
    first: float, second: float, feature: float
) -> None:
    network = DeepID().build(2, FACE)
    for layer, bias in ((network.fc_1, first), (network.fc_2, second)):
        layer.weight.zero_()
        layer.bias.fill_(bias)
    assert torch.equal(network.features(torch.rand(2, *FACE)), torch.full((2, 160), feature))


def test_smallest_image() -> None:
    """31 -> 28 -> 14 -> 12 -> 6 -> 4 -> 2, what conv_4 needs; 30 -> 27 -> 13 -> 11 -> 5
    -> 3 -> 1.
    """
    network = DeepID().build(2, (1, 31, 31))
    assert network.features(torch.zeros(1, 1, 31, 31)).shape == (1, 160)
    with pytest.raises(NotApplicable, match=r"at least 31x31 pixels .*got 40x30"):
        DeepID().build(2, (1, 40, 30))
