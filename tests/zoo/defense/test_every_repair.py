"""Every repair on five architectures, with ten clean images of each class. A repair joins by being
registered.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import (
    CleanSet,
    ImageSet,
    NotApplicable,
    Repair,
    Repaired,
    TrainingSetRepair,
    logits,
)
from benchbd.defense.defense import Defense
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import default_precision
from benchbd.plugin import registry
from benchbd.seeds import global_random_state
from benchbd.testing.networks import VGG, Transformer
from benchbd.testing.subject import quick
from benchbd.victim.model import Model
from support.lanes import slow_but

CARDS = {
    entry.name: entry.card for entry in registry.entries("defense") if entry.provider == "benchbd"
}
NAMES = [
    name
    for name, card in CARDS.items()
    if card["family"] == "repair" and card.get("role") != "imported"
]

CONVOLUTIONAL = ("residual", "preact", "vgg_bn", "mobilenet")
"""With BatchNorm, all of them; here a repair must know what to do."""

NETWORKS = slow_but((*CONVOLUTIONAL, "transformer"), "vgg_bn")
"""The one with the fewest layers is the quickest."""

FAST = ("clp", "ft", "none")
"""What stands for the others in the fast lane: one that prunes, one that trains, the control."""

CLASSES, EACH, SIZE = 4, 10, 16


def architecture(name: str) -> Model:
    if name in ("vgg_bn", "transformer"):  # the transformer is timm's
        return VGG() if name == "vgg_bn" else Transformer()
    named = {
        "residual": "resnet_small",
        "preact": "preact_resnet18",
        "mobilenet": "timm:mobilenetv2_035",
    }[name]
    return registry.create(Model, named, {} if name == "mobilenet" else {"width": 4})


def planted(count: int, seed: int) -> ImageSet:
    """Noise of 16x16 pixels with one bright quarter; the class is which quarter."""
    images = torch.randint(
        0,
        128,
        (count, 3, 2, SIZE // 2, 2, SIZE // 2),
        generator=torch.Generator().manual_seed(seed),
        dtype=torch.uint8,
    )
    labels = torch.arange(count) % CLASSES
    images[torch.arange(count), :, labels // 2, :, labels % 2] += 100
    return ImageSet(
        images.reshape(count, 3, SIZE, SIZE),
        labels,
        ("north-west", "north-east", "south-west", "south-east"),
    )


@cache
def victim(name: str) -> Classifier:
    """Not trained: what a repair does to it is watched, not how well. Its statistics are those of
    the images.
    """
    model = architecture(name).classifier(planted(CLASSES * EACH, 0), seed=0).train()
    with torch.no_grad(), global_random_state(0):
        for _ in range(3):
            model(planted(CLASSES * EACH, 0).images / 255)
    return model.eval()


def answer(name: str, model: nn.Module) -> nn.Module | Repaired:
    """What the repair gives back. Raises `NotApplicable` where it does not apply."""
    cls = cast(type[Defense], registry.load("defense", name))
    small = {"batch_size": CLASSES * EACH} if "batch_size" in cls.model_fields else {}
    plugin: Any = cls(**small | quick(cls))
    held = planted(CLASSES * EACH, seed=1)
    clean = CleanSet(held.subset(torch.arange(8, 40)), held.subset(torch.arange(8)))
    rng = torch.Generator().manual_seed(0)
    with default_precision("fp32"), global_random_state(7):
        if isinstance(plugin, TrainingSetRepair):
            return plugin.repair(model, planted(60, seed=2), rng)
        assert isinstance(plugin, Repair)
        return plugin.repair(model, clean, rng)


def test_the_first_repairs_are_registered() -> None:
    assert {
        "anp",
        "awm",
        "bnp",
        "clp",
        "ep",
        "fine_prune",
        "ft",
        "mcr",
        "none",
        "npd",
        "rnp",
    } <= set(NAMES)


@pytest.mark.parametrize("name", slow_but(NAMES, *FAST))
@pytest.mark.parametrize("network", NETWORKS)
def test_it_repairs_or_says_why_not(name: str, network: str) -> None:
    model = copy.deepcopy(victim(network))
    try:
        found = answer(name, model)
    except NotApplicable as refusal:
        assert network == "transformer", f"{name} refuses {network}: {refusal.reason}"
        assert CARDS[name].get("needs"), (
            f"{name} refuses the transformer, and its card does not say what it needs"
        )
        assert len(refusal.reason.split()) > 3
        return
    repaired = found if isinstance(found, Repaired) else Repaired(found)
    images = planted(12, seed=3).images
    scores = logits(repaired.model, images, precision="fp32")
    assert scores.shape == (12, CLASSES) and bool(scores.isfinite().all())
    assert not any(module.training for module in repaired.model.modules())
    require_sweep(repaired, model, scores, images)


def require_sweep(repaired: Repaired, model: nn.Module, scores: Tensor, images: Tensor) -> None:
    """Every step of a sweep gives a model; the reported one may have been tuned afterwards."""
    if repaired.sweep is None:
        return
    path, chosen = repaired.sweep.path, repaired.sweep.chosen
    assert len(path) > 1 and all(step in range(len(path)) for step in repaired.kept.values())
    assert logits(path.at(model, chosen), images, precision="fp32").shape == scores.shape
