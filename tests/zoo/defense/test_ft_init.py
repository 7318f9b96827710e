"""Fine-tuning from a new head: what is drawn, and that all of the network learns after."""

from __future__ import annotations

import copy

import torch

from benchbd.api import CleanSet
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
