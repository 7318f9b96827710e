"""Fine-tuning: one step of it against the gradient worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from benchbd.api import CleanSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.ft import FT
from support.tiny_networks import InPlace, Network, classifier, random_images

CLEAN = CleanSet(random_images(24, seed=1), random_images(8, seed=2))


def test_one_step_follows_the_gradient_over_all_clean_images() -> None:
    model = Classifier(Network(nn.Flatten(), width=108), (0.0,) * 3, (1.0,) * 3)
    weight = model.head.weight.detach().numpy().astype(float).copy()
    bias = model.head.bias.detach().numpy().astype(float).copy()
    tuned = FT(
        epochs=1, batch_size=32, lr=0.5, momentum=0, weight_decay=0, schedule="constant", shift=0
    ).repair(model, CLEAN, torch.Generator().manual_seed(0))
    pixels = (
        np.concatenate(
            [part.images.numpy().reshape(-1, 108) for part in (CLEAN.train, CLEAN.validation)]
        )
        / 255
    )
    labels = np.concatenate([part.labels.numpy() for part in (CLEAN.train, CLEAN.validation)])
    scores = np.exp(pixels @ weight.T + bias)
    errors = scores / scores.sum(1, keepdims=True) - np.eye(4)[labels]
    moved = tuned.head.weight.detach().numpy() - weight
    np.testing.assert_allclose(moved, -0.5 * errors.T @ pixels / 32, atol=2e-3)
    assert np.abs(moved).max() > 0.02


def test_no_epochs_no_change_and_eval_mode() -> None:
    model = classifier(InPlace()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tuned = FT(epochs=0).repair(model, CLEAN, torch.Generator())
    assert not tuned.training
    assert all(torch.equal(value, before[name]) for name, value in tuned.state_dict().items())


def test_same_generator_same_network() -> None:
    first, second = (
        FT(epochs=2, flip=True)
        .repair(classifier(InPlace()), CLEAN, torch.Generator().manual_seed(5))
        .state_dict()
        for _ in range(2)
    )
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_as_the_reference_three_steps() -> None:
    """`train_one_epoch` of `ModelTrainerCLS` of SCLBD/BackdoorBench at f02e353
    (utils/trainer_cls.py) with the optimizer and schedule of its fine-tuning: the way of the bias
    of the head, and where running means end.
    """
    before = classifier(InPlace()).head.bias.detach()
    with default_precision("fp32"):
        tuned = FT(epochs=3, batch_size=32, lr=0.05, shift=0).repair(
            classifier(InPlace()), CLEAN, torch.Generator().manual_seed(0)
        )
    assert (tuned.head.bias - before).tolist() == pytest.approx(
        [0.038682, -0.018898, -0.005278, -0.015384], abs=5e-6
    )
    assert dict(tuned.named_buffers())["network.body.bn1.running_mean"].tolist() == pytest.approx(
        [0.007986, -1.110433, 1.408841, 0.642303, -1.510554, 0.647894], abs=1e-5
    )
