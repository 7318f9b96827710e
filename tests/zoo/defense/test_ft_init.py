"""Fine-tuning from a new head: what is drawn, and that all of the network learns after."""

from __future__ import annotations

import copy

import pytest
import torch

from benchbd.api import CleanSet
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.ft_init import FTInit
from support.tiny_networks import InPlace, classifier, random_images

CLEAN = CleanSet(random_images(24, seed=1), random_images(8, seed=2))


def test_without_training_only_the_head_is_new() -> None:
    model = classifier(InPlace())
    before = copy.deepcopy(model.state_dict())
    drawn = FTInit(epochs=0).repair(model, CLEAN, torch.Generator().manual_seed(0))
    moved = {
        name for name, value in drawn.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved == {"network.head.weight", "network.head.bias"}
    assert drawn.head.weight.abs().max() <= 6**-0.5


def test_the_head_comes_from_the_generator() -> None:
    first, same, other = (
        FTInit(epochs=0)
        .repair(classifier(InPlace()), CLEAN, torch.Generator().manual_seed(seed))
        .head.weight
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_then_all_weights_learn() -> None:
    model = classifier(InPlace())
    before = copy.deepcopy(model.state_dict())
    tuned = FTInit(epochs=2, lr=0.1).repair(model, CLEAN, torch.Generator().manual_seed(0))
    assert all(not torch.equal(value, before[name]) for name, value in tuned.named_parameters())


def test_errata_the_norm_of_the_head_is_free() -> None:
    """The authors' code holds it at that of the old head in this mode too."""
    model = classifier(InPlace())
    old = float(model.head.weight.detach().norm())
    tuned = FTInit(epochs=2, lr=0.1).repair(model, CLEAN, torch.Generator().manual_seed(0))
    assert abs(float(tuned.head.weight.detach().norm()) - old) > 0.05 * old


def test_as_the_reference_three_steps() -> None:
    """The loop of AISafety-HKUST/stable_backdoor_purification at 37d2ef5 (fine_tune/ft.py,
    mode `ft-init`), given the head
    that is drawn here and without the line that rescales it.
    """
    before = classifier(InPlace()).head.bias.detach()
    with default_precision("fp32"):
        head = (
            FTInit(epoch_images=1, epochs=3, batch_size=32, lr=0.05, weight_decay=0, shift=0)
            .repair(classifier(InPlace()), CLEAN, torch.Generator().manual_seed(0))
            .head
        )
    assert head.weight[0].tolist() == pytest.approx(
        [-0.00237, 0.21906, -0.33408, -0.25099, -0.14991, 0.1305], abs=1e-4
    )
    assert (head.bias - before).tolist() == pytest.approx(
        [2.702375, -3.819711, -1.459378, -8.762875], abs=1e-4
    )
