"""The U-Net: its sizes, its levels, and the values of a reference implementation."""

from __future__ import annotations

import pytest
import torch

from benchbd_zoo.defense.parts.unet import UNet, drawn_unet


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (13, 16)])
def test_the_size_is_kept(size: tuple[int, int]) -> None:
    net = drawn_unet((1, *size), 4, 4, torch.Generator().manual_seed(0))
    assert net(torch.rand(2, 1, *size)).shape == (2, 1, *size)


@pytest.mark.parametrize(("side", "levels"), [(4, 1), (8, 2), (16, 3), (28, 3), (32, 4), (224, 4)])
def test_levels_that_leave_two_places_in_the_middle(side: int, levels: int) -> None:
    net = drawn_unet((3, side, side), 2, 4, torch.Generator())
    assert len(net.down) == len(net.up) == levels


def test_weights_are_drawn_from_the_generator_alone() -> None:
    first, second = (drawn_unet((3, 8, 8), 4, 2, torch.Generator()).state_dict() for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_as_the_reference() -> None:
    """The network of xuxiong0214/BTIDBF at e680dda (models/unet_model.py), width 4, two levels, its
    weights filled with ramps: the first pixels of each channel.
    """
    net = UNet(3, 4, 2)
    with torch.no_grad():
        for place, weight in enumerate(net.parameters()):
            ramp = torch.linspace(-1, 1, weight.numel()).view(weight.shape)
            weight.copy_(ramp.roll(place, 0) * 0.5)
    images = (torch.arange(3 * 8 * 8) % 17 / 17).view(1, 3, 8, 8)
    expected = torch.tensor(
        [
            [-0.492015, -0.497043, -0.490208],
            [0.172055, 0.026056, 0.185146],
            [0.343915, 0.479858, 0.334437],
        ]
    )
    torch.testing.assert_close(net(images)[0, :, 0, :3], expected, atol=1e-5, rtol=0)
