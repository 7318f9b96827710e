"""FT-SAM: its two steps on a quadratic, and that the second leaves running statistics alone."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.api import CleanSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.ft import FT
from benchbd_zoo.defense.ft_sam import FTSAM, Weights, sharpness_aware, smoothed_cross_entropy
from support.tiny_networks import InPlace, Network, classifier, random_images

CLEAN = CleanSet(random_images(24, seed=1), random_images(8, seed=2))
ONE_STEP = {
    "epochs": 1,
    "batch_size": 32,
    "lr": 0.1,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "schedule": "constant",
    "shift": 0,
}


def test_two_steps_on_a_quadratic() -> None:
    """L = (a1 w1^2 + a2 w2^2 + a3 v^2) / 2, so g = a w; the norm runs over both tensors."""
    a, w, rho = np.array([1.0, 4.0, 2.0]), np.array([3.0, -1.0, 0.5]), 0.7
    g = a * w
    adversarial = w + rho * w**2 * g / np.linalg.norm(np.abs(w) * g)
    weights = {
        "w": torch.tensor(w[:2], requires_grad=True),
        "v": torch.tensor(w[2:], requires_grad=True),
    }
    curvature = {"w": torch.tensor(a[:2]), "v": torch.tensor(a[2:])}

    def quadratic(at: Weights) -> Tensor:
        return torch.stack([(curvature[name] * at[name] ** 2).sum() / 2 for name in at]).sum()

    loss = sharpness_aware(quadratic(weights), weights, quadratic, rho)
    loss.backward()
    assert float(loss.detach()) == pytest.approx((a * adversarial**2).sum() / 2)
    gradient = torch.cat([weight.grad for weight in weights.values() if weight.grad is not None])
    np.testing.assert_allclose(gradient, a * adversarial)
    assert weights["w"].tolist() == w[:2].tolist(), "the weights themselves stay where they are"


def test_smoothing_leaves_out_the_right_class() -> None:
    """Three classes with probabilities .5, .25, .25: .9 ln 2 + .05 ln 4 + .05 ln 4."""
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    found = smoothed_cross_entropy(logits, torch.tensor([0]), 0.1)
    assert float(found) == pytest.approx(0.9 * np.log(2) + 0.1 * np.log(4))


def test_running_statistics_move_once_in_a_step() -> None:
    """As in plain fine-tuning of one step, whose only pass is the first of the two."""
    with default_precision("fp32"):
        plain, sharp = (
            method.repair(classifier(InPlace()), CLEAN, torch.Generator())
            for method in (FT(**ONE_STEP), FTSAM(**ONE_STEP))
        )
    before, after = dict(classifier(InPlace()).named_buffers()), dict(sharp.named_buffers())
    assert all(torch.equal(value, after[name]) for name, value in plain.named_buffers())
    assert not torch.equal(
        before["network.body.bn1.running_mean"], after["network.body.bn1.running_mean"]
    )
    assert int(after["network.body.bn1.num_batches_tracked"]) == 1 + int(
        before["network.body.bn1.num_batches_tracked"]
    )


def test_without_a_radius_it_is_fine_tuning() -> None:
    with default_precision("fp32"):
        plain, same, sharp = (
            method.repair(classifier(InPlace()), CLEAN, torch.Generator())
            for method in (
                FT(**ONE_STEP),
                *(FTSAM(**ONE_STEP, rho=rho, label_smoothing=0) for rho in (0.0, 2.0)),
            )
        )
    changed = dict(same.named_parameters())
    assert all(
        torch.allclose(value, changed[name], atol=1e-5) for name, value in plain.named_parameters()
    )
    assert not torch.allclose(plain.head.weight, sharp.head.weight, atol=1e-3)


def test_frozen_weights_are_neither_moved_nor_counted() -> None:
    model = Classifier(Network(nn.Flatten(), width=108), (0.0,) * 3, (1.0,) * 3)
    model.head.bias.requires_grad_(False)
    before = copy.deepcopy(model.head.bias)
    FTSAM(**ONE_STEP).repair(model, CLEAN, torch.Generator())
    assert torch.equal(model.head.bias, before)


def test_as_the_reference_one_update() -> None:
    """How `SAM.step` of SCLBD/BackdoorBench at f02e353 (utils/defense_utils/sam, adaptive, with its
    `smooth_crossentropy`) moves the bias of the head and the scale of a norm.
    """
    before = classifier(InPlace())
    with default_precision("fp32"):
        after = FTSAM(**ONE_STEP).repair(classifier(InPlace()), CLEAN, torch.Generator())
    bias, scale = (
        (dict(after.named_parameters())[name] - dict(before.named_parameters())[name]).detach()
        for name in ("network.head.bias", "network.body.bn2.weight")
    )
    assert bias.tolist() == pytest.approx([0.025, 0.004484, -0.011972, -0.017511], abs=5e-6)
    assert scale.tolist() == pytest.approx(
        [0.005667, -0.001636, 0.000647, -0.022713, -0.001282, 0.000459], abs=5e-6
    )
