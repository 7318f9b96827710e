"""TSBD: which weights are cleared, the mixture of gradients by hand, and the authors' code."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, Recipe, Repaired, fit
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.tsbd import TSBD, changes, clear, main_convolutions
from support.inverting import victim
from support.tiny_networks import Branching, Residual, classifier, random_images

CLEAN = CleanSet(random_images(24, seed=1), random_images(8, seed=2))
LAYERS = ["network.body.conv1", "network.body.conv2"]


def test_shortcuts_are_left_out() -> None:
    assert main_convolutions(classifier(Residual())) == LAYERS


def test_a_network_that_cannot_be_followed_has_no_shortcuts() -> None:
    assert main_convolutions(classifier(Branching())) == LAYERS


def moved() -> tuple[nn.Module, dict[str, Tensor]]:
    """A network and the changes to another one whose weights all grew by a draw."""
    model = victim()
    after, rng = copy.deepcopy(model), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in after.parameters():
            weight.add_(torch.rand(weight.shape, generator=rng))
    return model, changes(model, after, LAYERS)


def zeros(model: nn.Module, layer: str) -> list[int]:
    weight = model.get_submodule(layer).get_parameter("weight")
    return (weight == 0).flatten(1).sum(1).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("m", "left"), [(0.7, [0.0, 0, 3]), (0.4, [0.0, 2, 3]), (0.0, [1.0, 2, 3])]
)
def test_the_weights_that_moved_most_in_the_channel_that_did(m: float, left: list[float]) -> None:
    """Of three weights of one channel of two: int(.7 * 3) = 2 are cleared, int(.4 * 3) = 1."""
    model = nn.Sequential(nn.Conv2d(1, 2, (1, 3), bias=False))
    weight = model.get_submodule("0").get_parameter("weight")
    with torch.no_grad():
        weight.copy_(torch.tensor([[1.0, 2, 3], [4, 5, 6]]).view(2, 1, 1, 3))
    count = clear(model, {"0": torch.tensor([[0.9, 0.8, 0.1], [0.2, 0.2, 0.2]])}, n=0.5, m=m)
    assert weight.flatten().tolist() == [*left, 4, 5, 6]
    assert count == left.count(0)


@pytest.mark.parametrize(
    ("n", "m", "expected"),
    [(0.25, 0.7, [39, 0, 36, 0, 0, 38]), (0.5, 0.3, [21, 18, 16, 9, 13, 20])],
)
def test_as_the_reference_clearing(n: float, m: float, expected: list[int]) -> None:
    """`zero_reinit_weight` of linweiii/TSBD at 3718c67 (tsbd.py), given the same changes: how many
    weights of each channel it zeroes.
    """
    model, found = moved()
    assert clear(model, found, n, m) == sum(expected)
    assert zeros(model, LAYERS[0]) == [0] * 6 and zeros(model, LAYERS[1]) == expected


def tuned(**options: Any) -> Tensor:
    method = TSBD(shift=0, **options)
    recipe = Recipe(epochs=3, lr=0.01, batch_size=32, weight_decay=0, schedule="constant", shift=0)
    with default_precision("fp32"):
        model: Any = fit(victim(), CLEAN.train, recipe, torch.Generator(), loss=method._loss)
    return model.head.bias - victim().head.bias  # type: ignore[no-any-return]


def test_as_the_reference_tuning() -> None:
    """`train_finetuning_reg` of linweiii/TSBD at 3718c67 (tsbd.py), three steps: the way of the
    head's bias.
    """
    expected = [0.010467, -0.007378, -0.004218, 0.001129]
    assert tuned().tolist() == pytest.approx(expected, abs=2e-6)


def test_the_second_gradient_counts() -> None:
    assert not torch.allclose(tuned(alpha=0.0), tuned(alpha=1.0), atol=1e-6)
    torch.testing.assert_close(tuned(alpha=0.7, r=0.0), tuned(alpha=0.0))


@pytest.mark.slow
def test_unlearning_ends_where_accuracy_is_that_of_chance() -> None:
    with default_precision("fp32"):
        found = TSBD(lr_un=0.05, ft_epoch=1).repair(
            victim(), CLEAN, torch.Generator().manual_seed(0)
        )
    assert isinstance(found, Repaired) and found.notes["unlearned"]
    assert found.notes["cleared_weights"] > 0
