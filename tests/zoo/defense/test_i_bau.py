"""I-BAU: the hypergradient against finite differences of the whole two-level problem, and what a
round does.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import CleanSet, ImageSet, Repaired, accuracy
from benchbd.engine.classifier import Classifier
from benchbd_zoo.defense.i_bau import IBAU, _Unlearning, implicit
from support.by_formula import images_by_formula, wide_by_formula
from support.tiny_networks import InPlace, Network, classifier, random_images

CLEAN = CleanSet(random_images(24, seed=1), random_images(8, seed=2))


def repaired(model: nn.Module, clean: CleanSet = CLEAN, **parameters: Any) -> Repaired:
    return IBAU(**{"n_rounds": 2, "batch_size": 16} | parameters).repair(
        model, clean, torch.Generator().manual_seed(0)
    )


A = torch.tensor([[2.0, 0.3], [0.3, 1.0]], dtype=torch.float64)
START = torch.tensor([0.7, -0.4, 0.9], dtype=torch.float64)


def inner(delta: Tensor, w: Tensor) -> Tensor:
    """Convex in delta, and not quadratic; w moves its minimum."""
    return 0.5 * delta @ A @ delta - delta @ torch.sin(w[:2]) + 0.1 * w[2] ** 2 * (delta**4).sum()


def outer(delta: Tensor, w: Tensor) -> Tensor:
    return (delta * w[1:]).sum() ** 2 + torch.exp(0.3 * delta[0] * w[0]) + 0.5 * (w**2).sum()


def minimum(w: Tensor) -> Tensor:
    delta = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    for _ in range(120):
        (slope,) = torch.autograd.grad(inner(delta, w), delta)
        delta = (delta - 0.4 * slope).detach().requires_grad_()
    return delta.detach()


def test_the_hypergradient_is_the_slope_of_the_whole_problem() -> None:
    w = START.clone().requires_grad_()
    value = implicit(
        lambda d: outer(d, w), lambda d: inner(d, w), minimum(START), step=0.4, most=120, tol=1e-14
    )
    (found,) = torch.autograd.grad(value, w)
    h, slopes = 1e-5, []
    for place in torch.eye(3, dtype=torch.float64):
        above, below = (START + sign * h * place for sign in (1, -1))
        slopes.append(float(outer(minimum(above), above) - outer(minimum(below), below)) / (2 * h))
    np.testing.assert_allclose(found, slopes, rtol=1e-5)
    assert float(value.detach()) == pytest.approx(float(outer(minimum(START), START)))
    (direct,) = torch.autograd.grad(outer(minimum(START), w), w)
    assert (found - direct).abs().max() > 0.05, (
        "the way through delta must matter for this to say something"
    )


def test_no_fixed_point_steps_leave_the_direct_gradient() -> None:
    w = START.clone().requires_grad_()
    value = implicit(
        lambda d: outer(d, w), lambda d: inner(d, w), minimum(START), step=0.2, most=0, tol=0.0
    )
    found, direct = (torch.autograd.grad(loss, w)[0] for loss in (value, outer(minimum(START), w)))
    np.testing.assert_allclose(found, direct)


def test_fixed_point_steps_are_terms_of_the_series() -> None:
    """v after k steps is sum_{i<k} (d Phi)^i d L_out, here for a quadratic inner problem, d Phi = I
    - step * A.
    """
    w, delta = START.clone().requires_grad_(), torch.tensor([0.3, -0.2], dtype=torch.float64)
    value = implicit(
        lambda d: (d * w[1:]).sum(),
        lambda d: 0.5 * d @ A @ d - d @ w[:2],
        delta,
        step=0.1,
        most=3,
        tol=0.0,
    )
    (found,) = torch.autograd.grad(value, w)
    phi = np.eye(2) - 0.1 * A.numpy()
    v = sum(np.linalg.matrix_power(phi, i) for i in range(3)) @ START[1:].numpy()
    expected = np.array([0.1 * v[0], 0.1 * v[1], 0.0]) + np.array([0, 0.3, -0.2])
    np.testing.assert_allclose(found, expected)


def test_the_perturbation_is_one_pass_of_gradient_steps() -> None:
    """Two batches on a network whose logits are linear in the pixels."""
    torch.manual_seed(3)
    model = Classifier(Network(nn.Flatten(), width=108), (0.0,) * 3, (1.0,) * 3).eval()
    images = random_images(8)
    method = IBAU(batch_size=4, inner_lr=10.0, l2=0.01)
    delta = _Unlearning(method, images, torch.Generator().manual_seed(1))._perturbation(model)
    weight, bias = (p.detach().double().numpy() for p in (model.head.weight, model.head.bias))
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    by_hand = np.zeros(108)
    for places in order.split(4):
        pixels = images.images[places].flatten(1).double().numpy() / 255
        own = (pixels @ weight.T + bias).argmax(1)
        scores = np.exp((pixels + by_hand) @ weight.T + bias)
        errors = scores / scores.sum(1, keepdims=True) - np.eye(4)[own]
        by_hand = by_hand - 10 * (-(errors @ weight).mean(0) + 2 * 0.01 * by_hand)
    np.testing.assert_allclose(delta.flatten(), by_hand, atol=1e-4)


def test_as_the_reference_unlearns() -> None:
    """The first round of defense.py of YiZeng623/I-BAU at d4bfa52, with `fixed_point` of its
    hypergrad.py, run on the same network and 100 images in one batch: the perturbation's length and
    the gradient of the head's bias. Its `portion` and the step of its map were set to 1, so that
    the fixed-point steps count; without them the last number is -0.00029.
    """
    model, images = wide_by_formula(), images_by_formula(100)
    method = IBAU(portion=1, step=1)
    unlearning = _Unlearning(method, images, torch.Generator().manual_seed(0))
    unlearning(model, images.images / 255, images.labels).backward()
    assert unlearning.norms == pytest.approx([1.59074], abs=1e-4)
    assert model.head.bias.grad.tolist() == pytest.approx(
        [-0.05627, -0.14432, 0.18892, 0.01167], abs=2e-5
    )


@pytest.mark.parametrize(
    ("count", "portion", "carriers"), [(100, 0.01, 1), (100, 0.05, 5), (7, 0.01, 1), (1, 1.0, 1)]
)
def test_some_of_every_batch_carry_the_perturbation(
    count: int, portion: float, carriers: int
) -> None:
    unlearning = _Unlearning(IBAU(portion=portion), CLEAN.train, torch.Generator().manual_seed(0))
    assert int(unlearning._carriers(count).sum()) == carriers


def test_running_statistics_stay() -> None:
    model = classifier(InPlace())
    before = copy.deepcopy(dict(model.named_buffers()))
    result = repaired(model)
    assert all(torch.equal(value, before[name]) for name, value in result.model.named_buffers())
    assert len(result.notes["perturbation_norms"]) == 2


class Corner(nn.Module):
    """Which side of a row of three pixels is bright, and how white its corner is."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.flatten(1)[:, :2], F.relu(x.flatten(1)[:, 2:] - 0.1)], 1)


@pytest.mark.slow
def test_a_planted_shortcut_is_unlearned() -> None:
    model = Classifier(Network(Corner(), width=3), (0.0,), (1.0,)).eval()
    model.network.head = nn.Linear(3, 2)
    with torch.no_grad():
        model.head.weight.copy_(torch.tensor([[4.0, -4, -12], [-4, 4, 12]]))
        model.head.bias.zero_()
    images = torch.zeros(60, 1, 1, 3, dtype=torch.uint8)
    images[::2, ..., 0] = images[1::2, ..., 1] = 200
    images[..., 2] = torch.randint(0, 60, (60, 1, 1), generator=torch.Generator().manual_seed(0))
    clean, triggered = (
        ImageSet(pixels, torch.arange(60) % 2, ("left", "right"))
        for pixels in (images, images.clone())
    )
    triggered.images[..., 2] = 255
    assert accuracy(model, triggered.images, triggered.labels) == 0.5
    result = repaired(
        model,
        CleanSet(clean, clean),
        n_rounds=20,
        batch_size=30,
        lr=0.5,
        inner_lr=0.5,
        l2=0.05,
        portion=0.5,
    )
    assert accuracy(result.model, triggered.images, triggered.labels) > 0.9
    assert accuracy(result.model, clean.images, clean.labels) == 1


def test_same_generator_same_network() -> None:
    first, second = (
        repaired(classifier(InPlace()), shift=1, flip=True).model.state_dict() for _ in range(2)
    )
    assert all(torch.equal(value, second[name]) for name, value in first.items())
