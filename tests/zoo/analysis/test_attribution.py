"""Expected gradients of networks whose values are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import BACKDOORED, Classifier, logits, to_float
from benchbd.engine.hardware import default_precision
from benchbd.testing.trial import hand_over
from benchbd_zoo.analysis.attribution import Attribution, expected_gradients, positive


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    with default_precision("fp32"):
        yield


class Weighted(nn.Module):
    """Logit 0 is a weighted sum of pixels, of power `power`; the others are far below."""

    def __init__(self, weight: Tensor, power: int = 1) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.power = power
        self.head = nn.Linear(1, 4)
        self.head.weight.data = torch.tensor([[1.0], [0], [0], [0]])
        self.head.bias.data = torch.tensor([0.0, -999, -999, -999])

    def features(self, x: Tensor) -> Tensor:
        return (x**self.power * self.weight).sum((1, 2, 3))[:, None]  # type: ignore[operator]


def network(weight: Tensor, power: int = 1) -> Classifier:
    return Classifier(Weighted(weight, power), (0.0,) * 3, (1.0,) * 3).eval()


def test_a_linear_network_has_its_weights_times_the_difference() -> None:
    """phi = w (x - mean of b), and nothing is missing."""
    handed = hand_over()
    weight = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))
    images, background = handed.test.images[:3], handed.test.images[10:18]
    phi, gap = expected_gradients(network(weight), images, background, torch.rand(8))
    expected = weight * (to_float(images) - to_float(background).mean(0))
    torch.testing.assert_close(phi, expected.double(), rtol=1e-4, atol=1e-5)
    assert float(gap.max()) < 1e-3


def test_a_square_is_complete_on_the_average_over_the_way() -> None:
    """Along the way from 0 to x the gradient of x^2 is 2 a x: with a of 0 and 1 its mean is x, and
    the values sum to x^2.
    """
    images = torch.full((1, 3, 2, 2), 204, dtype=torch.uint8)
    black = torch.zeros(2, 3, 2, 2, dtype=torch.uint8)
    phi, gap = expected_gradients(
        network(torch.ones(3, 2, 2), power=2), images, black, torch.tensor([0.0, 1.0])
    )
    torch.testing.assert_close(phi, torch.full_like(phi, 0.64))
    assert float(gap) == pytest.approx(0, abs=1e-5)
    _, off = expected_gradients(
        network(torch.ones(3, 2, 2), power=2), images, black, torch.tensor([1.0, 1.0])
    )
    assert float(off) == pytest.approx(12 * 0.64, rel=1e-4)


def test_a_network_that_reads_the_patch_alone_has_all_there() -> None:
    """36 of 1,024 pixels have all of the attribution."""
    handed = hand_over()
    weight = torch.zeros(3, 32, 32)
    weight[:, 13:19, 13:19] = 1
    scene = replace(handed.scene, models={BACKDOORED: network(weight)})
    numbers = Attribution(images=4, draws=8).look(scene, handed.rng).numbers[BACKDOORED]
    assert numbers["lift"] == pytest.approx(1024 / 36)
    assert numbers["gap"] < 1e-3


def test_the_positive_part_is_that_of_all_channels_together() -> None:
    values = torch.tensor([[[[2.0, 1]], [[-1.0, -3]]]])
    assert positive(values).tolist() == [[[1, 0]]]


def test_a_model_is_left_as_it_was() -> None:
    handed = hand_over()
    before = logits(handed.model, handed.test.images[:2])
    expected_gradients(
        handed.model, handed.test.images[:1], handed.test.images[1:3], torch.tensor([0.2, 0.7])
    )
    assert torch.equal(logits(handed.model, handed.test.images[:2]), before)
    assert all(p.requires_grad and p.grad is None for p in handed.model.parameters())
