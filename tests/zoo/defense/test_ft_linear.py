"""Linear probe: the head moves by its gradient, nothing else moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchbd.api import CleanSet, features
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.ft_linear import FTLinear
from support.tiny_networks import InPlace, classifier, random_images

CLEAN = CleanSet(random_images(24, seed=1), random_images(8, seed=2))


def test_only_the_head_moves_and_everything_may_learn_again() -> None:
    model = classifier(InPlace())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    probed = FTLinear(epochs=3, lr=0.1).repair(model, CLEAN, torch.Generator().manual_seed(0))
    moved = {
        name for name, value in probed.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved == {"network.head.weight", "network.head.bias"}
    assert all(parameter.requires_grad for parameter in probed.parameters()) and not probed.training


def test_one_step_follows_the_gradient_over_fixed_features() -> None:
    """Features with running statistics, since the network is in training mode around."""
    model = classifier(InPlace())
    with default_precision("fp32"):
        found = features(model, CLEAN.all().images).double().numpy()
        weight, bias = (
            p.detach().double().numpy().copy() for p in (model.head.weight, model.head.bias)
        )
        FTLinear(epochs=1, lr=0.5, momentum=0, weight_decay=0, schedule="constant", shift=0).repair(
            model, CLEAN, torch.Generator()
        )
    scores = found @ weight.T + bias
    shares = np.exp(scores - scores.max(1, keepdims=True))
    errors = shares / shares.sum(1, keepdims=True) - np.eye(4)[CLEAN.all().labels.numpy()]
    np.testing.assert_allclose(
        model.head.weight.detach().numpy(), weight - 0.5 * errors.T @ found / 32, atol=1e-4
    )


def test_as_the_reference_three_steps() -> None:
    """The loop of AISafety-HKUST/stable_backdoor_purification at 37d2ef5 (fine_tune/ft.py,
    mode `lp`), whose head keeps its
    norm and whose running statistics move, both of which is left out.
    """
    before = classifier(InPlace()).head.bias.detach()
    with default_precision("fp32"):
        head = (
            FTLinear(epochs=3, batch_size=32, lr=0.05, weight_decay=0, shift=0)
            .repair(classifier(InPlace()), CLEAN, torch.Generator().manual_seed(0))
            .head
        )
    assert head.weight[0].tolist() == pytest.approx(
        [0.32993, 0.25691, -0.1303, 1.24413, 0.53964, -1.05188], abs=1e-4
    )
    assert (head.bias - before).tolist() == pytest.approx(
        [-0.000746, 0.009617, 0.000126, -0.008997], abs=1e-4
    )
