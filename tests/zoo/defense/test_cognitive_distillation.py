"""Cognitive Distillation: its loss by hand, masks of their own for each image, and where a planted
trigger leaves them.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.engine.hardware import default_precision
from benchbd.measure.detection import separation
from benchbd_zoo.defense.cognitive_distillation import (
    CognitiveDistillation,
    Masks,
    mask_of,
    sizes,
    variation,
)
from benchbd_zoo.defense.cognitive_distillation_filter import CognitiveDistillationFilter
from support.planted_backdoor import SIZE, budget, lit, quarters, stamped


@pytest.fixture(autouse=True)
def exact() -> Any:
    with default_precision("fp32"):
        yield


def masks(model: nn.Module | None = None, **parameters: Any) -> Masks:
    found = CognitiveDistillation(**parameters).fit(
        model or quarters(), budget(), torch.Generator().manual_seed(0)
    )
    assert isinstance(found, Masks)
    return found


def test_masks_begin_where_the_reference_does() -> None:
    assert float(mask_of(torch.ones(1))) == pytest.approx((np.tanh(1) + 1) / 2)


def test_size_and_variation_by_hand() -> None:
    two = torch.tensor([[[[0.0, 1.0], [0.5, 0.5]]], [[[1.0, 1.0], [1.0, 1.0]]]])
    assert sizes(two).tolist() == [2.0, 4.0]
    assert variation(two).tolist() == [(0.25 + 0.25 + 1) / 4, 0.0]


def test_the_loss_is_the_formula() -> None:
    model, images = quarters(), lit(3).images
    judge = masks(model, gamma=0.3, beta=2.0)
    x, theta = (
        images.float() / 255,
        torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(2)),
    )
    colour = torch.tensor([0.2, 0.5, 0.9])[:, None, None]
    m = (np.tanh(theta.double().numpy()) + 1) / 2
    mixed = torch.from_numpy(x.numpy() * m + (1 - m) * colour.numpy()).float()
    l1 = (model(x) - model(mixed)).detach().abs().mean(1).double().numpy()
    tv = (np.diff(m, axis=2) ** 2).sum((1, 2, 3)) + (np.diff(m, axis=3) ** 2).sum((1, 2, 3))
    expected = (l1 + 0.3 * np.abs(m).sum((1, 2, 3)) + 2 * tv / 64).sum()
    assert float(judge._loss(x, theta, colour, model(x).detach())) == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.slow
def test_as_the_reference_learns_masks() -> None:
    """`CognitiveDistillation.forward` of HanxunH/CognitiveDistillation at 6aba6f9
    (detection/cognitive_distillation.py), image by image from seed 0, which gives its colours, with
    20 steps and gamma = .1.
    """
    images = torch.cat([lit(3).images, stamped(lit(2, seed=5).images)])
    found = sizes(masks(num_steps=20, gamma=0.1).learned(images))
    expected = torch.tensor([49.528519, 50.453491, 50.513763, 46.309635, 36.136272])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


def test_both_outputs_are_of_normalised_images() -> None:
    """Errata: what was normalised at first only is normalised in every step; a mask of ones then
    costs nothing.
    """
    model = quarters()
    model.mean.fill_(0.4)
    model.std.fill_(0.2)
    judge, x = masks(model, gamma=0.0, beta=0.0), lit(4).images.float() / 255
    ones = torch.full((4, 1, 8, 8), 20.0)
    assert float(judge._loss(x, ones, torch.ones(3, 1, 1), model(x).detach())) == pytest.approx(
        0, abs=1e-4
    )


class Ruled(nn.Module):
    """The brightest quarter, unless a white pixel in the middle takes the whole output over."""

    def __init__(self, planted: bool) -> None:
        super().__init__()
        self.clean, self.planted = quarters(backdoor=0.0), planted

    def forward(self, x: Tensor) -> Tensor:
        rules = (
            torch.sigmoid(50 * (x[:, :, SIZE // 2, SIZE // 2].mean(1, keepdim=True) - 0.7))
            * self.planted
        )
        return (1 - rules) * self.clean(x) + rules * torch.tensor([20.0, 0, 0, 0])


@pytest.mark.slow
def test_a_planted_trigger_leaves_nothing_but_itself() -> None:
    good, bad = lit(8).images, stamped(lit(8, seed=5).images)
    judge, healthy = (
        masks(Ruled(True), gamma=0.05, beta=0.0),
        masks(Ruled(False), gamma=0.05, beta=0.0),
    )
    assert separation(judge.score(good), judge.score(bad))["auroc"] == 1
    left = judge.learned(bad).flatten(1)
    assert left.argmax(1).tolist() == [SIZE * SIZE // 2 + SIZE // 2] * 8
    assert float(left.sum(1).max()) < 1.5
    assert (
        float(healthy.score(bad).max()) < -20
    )  # of 64 pixels; without a backdoor the pixel is no excuse


@pytest.mark.slow
def test_scores_depend_on_their_image_alone() -> None:
    images, judge = lit(10).images, masks(num_steps=10)
    whole = judge.score(images)
    torch.testing.assert_close(
        torch.cat([judge.score(part) for part in images.split(3)]), whole, rtol=1e-4, atol=1e-3
    )
    torch.testing.assert_close(judge.score(images.flip(0)).flip(0), whole, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(
        masks(num_steps=10, at_once=4).score(images), whole, rtol=1e-4, atol=1e-3
    )


@pytest.mark.slow
def test_images_go_through_together() -> None:
    seen: list[int] = []
    model = quarters()
    model.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    masks(model, num_steps=5, at_once=16).score(lit(32).images)
    assert seen == [16] * 12


@pytest.mark.slow
def test_the_model_handed_in_stays() -> None:
    model = quarters()
    before = copy.deepcopy(model.state_dict())
    masks(model, num_steps=2).score(lit(3).images)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(
        parameter.requires_grad and parameter.grad is None for parameter in model.parameters()
    )


def test_the_filter_flags_masks_that_lie_t_deviations_below_the_mean() -> None:
    scores = -torch.tensor([10.0, 12, 14, 16])
    limit = float(np.mean([10, 12, 14, 16]) - 1.5 * np.std([10, 12, 14, 16]))
    assert CognitiveDistillationFilter(t=1.5).threshold(scores) == pytest.approx(-limit)
    assert CognitiveDistillationFilter(t=None, fpr=0.0).threshold(scores) == -10


@pytest.mark.slow
def test_the_filter_scores_samples_as_inputs() -> None:
    train = lit(20, seed=7)
    found = CognitiveDistillationFilter(num_steps=5).score(
        train, quarters(), budget(), torch.Generator().manual_seed(0)
    )
    expected: Tensor = masks(num_steps=5).score(train.images)
    assert torch.equal(found.scores, expected)
