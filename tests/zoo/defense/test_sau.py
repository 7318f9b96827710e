"""SAU: its perturbations and losses by hand, and a planted shortcut that it unlearns."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.distance import jensenshannon
from torch import Tensor, nn

from benchbd.api import CleanSet, ImageSet, accuracy
from benchbd.engine.classifier import Classifier
from benchbd_zoo.defense.sau import SAU, jensen_shannon, shared_risk
from support.tiny_networks import InPlace, Network, classifier, random_images

CLEAN = CleanSet(random_images(24, seed=1), random_images(8, seed=2))


def repaired(model: nn.Module, clean: CleanSet = CLEAN, **parameters: Any) -> nn.Module:
    return SAU(**{"n_rounds": 2, "batch_size": 16} | parameters).repair(
        model, clean, torch.Generator().manual_seed(0)
    )


def test_the_divergence_is_that_of_scipy() -> None:
    rng = torch.Generator().manual_seed(0)
    first, second = (3 * torch.randn(6, 5, generator=rng) for _ in range(2))
    expected = jensenshannon(first.softmax(1), second.softmax(1), axis=1) ** 2
    np.testing.assert_allclose(jensen_shannon(first, second), expected, rtol=1e-4)
    assert jensen_shannon(first, first).abs().max() < 1e-6


def test_the_risk_by_hand() -> None:
    """Shares of the wrong class k: 1/2 counts, 1/2 does not, and 1/10000 is below the clamp, where
    there is no slope.
    """
    logits = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, math.log(9999.0)]], requires_grad=True)
    fooled, dangerous = torch.tensor([0, 0, 0]), torch.tensor([True, False, True])
    risk = shared_risk(logits, fooled, dangerous)
    expected = (-math.log(0.5) - (math.log(0.999) + math.log(0.999)) / 2) / 3
    assert float(risk.detach()) == pytest.approx(expected, abs=1e-5)
    risk.backward()
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx([0.5 / 3, -0.5 / 3], abs=1e-5)
    assert logits.grad[1:].abs().max() == 0


def test_perturbations_follow_the_sign_of_the_formula() -> None:
    """One step, from the corner +eps, on two networks that are linear in the pixels; written out
    with the slopes of autograd.
    """
    torch.manual_seed(3)
    model, reference = (
        Classifier(Network(nn.Flatten(), width=108), (0.0,) * 3, (1.0,) * 3).eval()
        for _ in range(2)
    )
    batch = random_images(12)
    images, eps = batch.images / 255, 0.05
    p = SAU(trigger_norm=eps, adv_lr=0.03, adv_steps=1)._perturb(
        model, reference, images, batch.labels
    )
    q = torch.full_like(images, eps).requires_grad_()
    scores, others = model(images + q), reference(images + q)
    wrong, wrong_reference = (
        scores.argmax(1) != model(images).argmax(1),
        others.argmax(1) != reference(images).argmax(1),
    )
    shared = wrong & wrong_reference & (scores.argmax(1) == others.argmax(1))
    total = torch.zeros(())
    for place in range(12):
        if not wrong[place]:
            total = total - 0.01 / 2 * F.cross_entropy(scores[place], batch.labels[place])
        if not wrong_reference[place]:
            total = total - 0.01 / 2 * F.cross_entropy(others[place], batch.labels[place])
        if not shared[place]:
            a, b = scores[place].softmax(0), others[place].softmax(0)
            total = (
                total
                + (
                    F.kl_div((a + b).div(2).log(), a, reduction="sum")
                    + F.kl_div((a + b).div(2).log(), b, reduction="sum")
                )
                / 2
            )
    (slope,) = torch.autograd.grad(total, q)
    expected = (eps - 0.03 * slope.sign()).clamp(-eps, eps)
    assert (p == expected).double().mean() > 0.999
    assert 0.2 < float((p < eps).double().mean()) < 0.8


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_perturbations_stay_inside_their_bound(steps: int) -> None:
    model, reference = classifier(InPlace(), 1), classifier(InPlace(), 2)
    p = SAU(trigger_norm=0.1, adv_steps=steps)._perturb(
        model, reference, CLEAN.train.images / 255, CLEAN.train.labels
    )
    assert p.shape == CLEAN.train.images.shape and p.abs().max() <= 0.1 + 1e-7
    assert steps or (p == p.max()).all()


@pytest.mark.parametrize("train_mode", [False, True])
def test_running_statistics_move_in_train_mode_alone(train_mode: bool) -> None:
    model = classifier(InPlace())
    before = copy.deepcopy(dict(model.named_buffers()))
    after = dict(repaired(model, train_mode=train_mode).named_buffers())
    assert (
        torch.equal(before["network.body.bn1.running_mean"], after["network.body.bn1.running_mean"])
        is not train_mode
    )


@pytest.mark.slow
def test_the_loss_adds_its_three_parts() -> None:
    model, reference, images = (
        classifier(InPlace(), 1),
        classifier(InPlace(), 2),
        CLEAN.train.images / 255,
    )

    def loss(**weights: float) -> float:
        nothing = {"lmd_1": 0.0, "lmd_2": 0.0, "lmd_3": 0.0}
        return float(
            SAU(**nothing | weights)._loss(model, reference, images, CLEAN.train.labels).detach()
        )

    parts = [loss(lmd_1=1.0), loss(lmd_2=1.0), loss(lmd_3=1.0)]
    assert parts[0] == pytest.approx(
        float(F.cross_entropy(model(images), CLEAN.train.labels).detach()), rel=1e-5
    )
    assert min(parts) > 0.01
    assert loss(lmd_1=2.0, lmd_2=3.0, lmd_3=5.0) == pytest.approx(
        2 * parts[0] + 3 * parts[1] + 5 * parts[2], rel=1e-5
    )


class Corner(nn.Module):
    """Which side of a row of three pixels is bright, and how white its corner is."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


@pytest.mark.slow
def test_a_planted_shortcut_is_unlearned() -> None:
    """The corner may change by a fifth, which is enough to turn an image of either side; the sides
    are too far apart for it.
    """
    model = Classifier(Network(Corner(), width=3), (0.0,), (1.0,)).eval()
    model.network.head = nn.Linear(3, 2)
    with torch.no_grad():
        model.head.weight.copy_(torch.tensor([[4.0, -4, -30], [-4, 4, 30]]))
        model.head.bias.zero_()
    images = torch.zeros(60, 1, 1, 3, dtype=torch.uint8)
    images[::2, ..., 0] = images[1::2, ..., 1] = 200
    clean, triggered = (
        ImageSet(pixels, torch.arange(60) % 2, ("left", "right"))
        for pixels in (images, images.clone())
    )
    triggered.images[..., 2] = 51
    assert accuracy(model, triggered.images, triggered.labels) == 0.5
    result = repaired(model, CleanSet(clean, clean), n_rounds=60, batch_size=60, lr=0.5)
    assert accuracy(result, triggered.images, triggered.labels) == 1
    assert accuracy(result, clean.images, clean.labels) == 1


@pytest.mark.slow
def test_same_generator_same_network() -> None:
    first, second = (
        repaired(classifier(InPlace()), shift=1, flip=True).state_dict() for _ in range(2)
    )
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def softened(seed: int) -> Classifier:
    """No class is so sure that rounding decides."""
    model = classifier(InPlace(), seed)
    with torch.no_grad():
        model.head.weight.mul_(0.2)
        model.head.bias.mul_(0.2)
    return model


@pytest.mark.parametrize(
    ("norm", "pushed", "loss", "slope"),
    [
        (
            0.2,
            [0.037037, 0.042593, 0.044444, -0.048148],
            5.716241,
            [-0.455117, 0.606487, -0.055336, -0.096055],
        ),
        (
            0.05,
            [0.016667, 0.001389, 0.012037, 0.017593],
            2.998878,
            [-0.165522, 0.319776, -0.060966, -0.093288],
        ),
    ],
)
def test_as_the_reference_perturbations_and_loss(
    norm: float, pushed: list[float], loss: float, slope: list[float]
) -> None:
    """The mean change of four images by `Shared_PGD.attack` of SCLBD/BackdoorBench at f02e353
    (defense/sau.py), the loss of its `mitigation` there, and how that slopes along the bias.
    """
    model, reference, batch = softened(1), softened(2), random_images(32, seed=1)
    sau, images = SAU(trigger_norm=norm, adv_lr=norm), batch.images / 255
    p = sau._perturb(model, reference, images, batch.labels)
    assert p[:4].mean((1, 2, 3)).tolist() == pytest.approx(pushed, abs=1e-5)
    found = sau._loss(model, reference, images, batch.labels)
    assert float(found.detach()) == pytest.approx(loss, rel=1e-5)
    (gradient,) = torch.autograd.grad(found, model.head.bias)
    assert gradient.tolist() == pytest.approx(slope, abs=2e-5)
