"""FST: its first step by hand, the norm that it holds, and that no other way of tuning holds it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from benchbd.api import CleanSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.fst import FST
from benchbd_zoo.defense.ft import FT
from benchbd_zoo.defense.ft_init import FTInit
from benchbd_zoo.defense.ft_linear import FTLinear
from benchbd_zoo.defense.parts.tuning import Tuning
from support.tiny_networks import InPlace, Network, classifier, random_images

CLEAN = CleanSet(random_images(24, seed=1), random_images(8, seed=2))
ONE_STEP = {
    "epochs": 1,
    "batch_size": 32,
    "lr": 0.5,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "schedule": "constant",
    "shift": 0,
}


def pixels_and_head() -> Classifier:
    torch.manual_seed(3)
    return Classifier(Network(nn.Flatten(), width=108), (0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_one_step_by_hand(alpha: float) -> None:
    old = pixels_and_head().head.weight.detach().double().numpy()
    drawn = FST(epochs=0).repair(pixels_and_head(), CLEAN, torch.Generator().manual_seed(0)).head
    start, bias = (part.detach().double().numpy() for part in (drawn.weight, drawn.bias))
    pixels = CLEAN.all().images.flatten(1).double().numpy() / 255
    scores = np.exp(pixels @ start.T + bias)
    errors = scores / scores.sum(1, keepdims=True) - np.eye(4)[CLEAN.all().labels.numpy()]
    expected = start - 0.5 * (errors.T @ pixels / 32 + alpha * old)
    expected *= np.linalg.norm(old) / np.linalg.norm(expected)
    with default_precision("fp32"):
        tuned = FST(alpha=alpha, epoch_images=1, **ONE_STEP).repair(
            pixels_and_head(), CLEAN, torch.Generator().manual_seed(0)
        )
    np.testing.assert_allclose(tuned.head.weight.detach(), expected, atol=1e-5)


def test_the_head_turns_away_from_the_old_one() -> None:
    def turned(alpha: float) -> float:
        model = classifier(InPlace())
        old = model.head.weight.detach().clone()
        tuned = FST(alpha=alpha, epochs=10, lr=0.05, epoch_images=1).repair(
            model, CLEAN, torch.Generator().manual_seed(0)
        )
        return float(
            torch.cosine_similarity(tuned.head.weight.flatten(), old.flatten(), dim=0).detach()
        )

    assert turned(1.0) < turned(0.0) - 0.2


@pytest.mark.parametrize(
    ("method", "held"), [(FST, True), (FT, False), (FTInit, False), (FTLinear, False)]
)
def test_errata_the_norm_of_the_head_is_held_in_this_mode_alone(
    method: type[Tuning], held: bool
) -> None:
    model = classifier(InPlace())
    before = float(model.head.weight.detach().norm())
    tuned = method(epochs=3, lr=0.1).repair(model, CLEAN, torch.Generator().manual_seed(0))
    assert (float(tuned.head.weight.detach().norm()) == pytest.approx(before, rel=1e-4)) is held


def test_as_the_reference_two_steps() -> None:
    """The loop of AISafety-HKUST/stable_backdoor_purification at 37d2ef5 (fine_tune/ft.py, mode
    `fst`), given the head that is drawn here: the old head's first class and the way of the bias.
    """
    steps = ONE_STEP | {"epochs": 2, "lr": 0.05, "momentum": 0.9, "schedule": "cosine"}
    before = classifier(InPlace()).head.bias.detach()
    with default_precision("fp32"):
        head = (
            FST(alpha=0.2, epoch_images=1, **steps)
            .repair(classifier(InPlace()), CLEAN, torch.Generator().manual_seed(0))
            .head
        )
    assert head.weight[0].tolist() == pytest.approx(
        [-0.03395, 0.99961, -1.55843, -1.37184, -0.74459, 0.59925], abs=1e-4
    )
    assert (head.bias - before).tolist() == pytest.approx(
        [2.696827, -3.816258, -1.450698, -8.76946], abs=1e-4
    )
