"""Networks that draw triggers: weights from a generator, taken apart and put together, and no
company that matters.
"""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd_zoo.attack.parts.generator import (
    ConvBlock,
    blockwise,
    drawn,
    resized,
    restored,
    stored,
)

build = partial(ConvBlock, 3, 5)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_weights_come_from_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (drawn(build, seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(first[0].weight, again[0].weight)
    assert torch.equal(first[0].bias, again[0].bias)
    assert not torch.equal(first[0].weight, other[0].weight)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_weights_are_spread_as_pytorch_spreads_them() -> None:
    """Uniform between minus and plus 1 / sqrt(inputs of a unit), for weights and biases."""
    layer = drawn(partial(nn.Linear, 100, 2000), seeded(0))
    for value in (layer.weight, layer.bias):
        assert value.abs().max().item() == pytest.approx(0.1, rel=0.01)
        assert value.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.05)
    norm = drawn(build, seeded(0))[1]
    assert torch.equal(norm.weight, torch.ones(5))
    assert torch.equal(norm.running_var, torch.ones(5))
    assert not norm.running_mean.any()


def test_a_network_taken_apart_and_put_together_is_the_same() -> None:
    network = drawn(build, seeded(0))
    images = torch.rand(7, 3, 6, 6, generator=seeded(1))
    network.train()(images)
    tensors = stored("one", network) | stored("other", drawn(build, seeded(5)))
    again = restored("one", build, tensors)
    assert not again.training
    assert torch.equal(again(images), network.eval()(images))
    assert not torch.equal(again(images), restored("other", build, tensors)(images))


def test_a_block_gives_and_learns_as_its_layers_one_by_one() -> None:
    block, images = (
        drawn(build, seeded(0)).train(),
        torch.rand(7, 3, 6, 6, generator=seeded(1), requires_grad=True),
    )
    before, (convolution, norm, _) = images.detach().clone(), copy.deepcopy(block)
    expected = F.relu(norm(convolution(images)))
    given = block(images)
    assert torch.equal(given, expected)
    assert torch.equal(images, before)
    inputs = torch.autograd.grad(given.square().sum(), [images, *block.parameters()])
    others = torch.autograd.grad(
        expected.square().sum(), [images, *convolution.parameters(), *norm.parameters()]
    )
    for one, other in zip(inputs, others, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("side", [8, 300])
def test_an_image_meets_the_function_in_blocks_of_one_size(side: int) -> None:
    images = torch.randint(0, 256, (70, 1, side, side), generator=seeded(0), dtype=torch.uint8)
    images = images if side == 8 else images[:3]
    sizes = set()

    def brighter(block: Tensor) -> Tensor:
        sizes.add(len(block))
        assert block.max() <= 1
        return block + 1

    assert torch.equal(blockwise(brighter, images), images / 255 + 1)
    assert sizes == ({1024} if side == 8 else {1})


def test_maps_take_the_size_of_others() -> None:
    maps = torch.tensor([[[[0.0, 1.0]]]])
    assert resized(maps, torch.zeros(1, 3, 1, 4)).flatten().tolist() == [0, 0.25, 0.75, 1]


def test_without_a_slope_signals_stay_as_strong_as_they_are() -> None:
    """He et al.: the mean square of what a rectified layer gives is that of what it gets."""
    layer = drawn(partial(nn.Linear, 200, 4000, bias=False), seeded(0), 0)
    signal = torch.randn(50, 200, generator=seeded(1))
    assert layer(signal).relu().square().mean().item() == pytest.approx(
        signal.square().mean().item(), rel=0.05
    )
