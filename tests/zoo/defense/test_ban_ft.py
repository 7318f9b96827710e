"""BAN's fine-tuning: without noise, that noise climbs, and steps of the authors' code."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchbd.api import CleanSet, NotApplicable
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.ban_ft import BANFT, NeuronNoise
from benchbd_zoo.defense.ft import FT
from support.inverting import victim
from support.tiny_networks import Plain, classifier, random_images

CLEAN = CleanSet(random_images(24, seed=1), random_images(8, seed=2))
PLAIN: dict[str, Any] = {"batch_size": 32, "shift": 0, "epochs": 3}


def tuned(**options: Any) -> Classifier:
    method = BANFT(**(PLAIN | options))
    with default_precision("fp32"):
        model: Any = method.repair(victim(), CLEAN, torch.Generator().manual_seed(0))
    return model  # type: ignore[no-any-return]


def test_without_noise_it_is_fine_tuning_at_a_higher_rate() -> None:
    """(1 + lambda) CE at the rate lr is CE at (1 + lambda) lr."""
    options: dict[str, Any] = {"weight_decay": 0.0, "lr": 0.004}
    found = tuned(eps=0.0, rob_lambda=0.5, **options)
    rate = {"lr": 0.006, "schedule": "constant"}
    with default_precision("fp32"):
        plain = FT(**(PLAIN | options | rate)).repair(
            victim(), CLEAN, torch.Generator().manual_seed(0)
        )
    for name, weight in plain.named_parameters():
        torch.testing.assert_close(found.get_parameter(name), weight, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("steps", [1, 3])
def test_noise_climbs_from_where_it_is_drawn(steps: int) -> None:
    """All steps together are eps long, so the loss is higher than under the noise as drawn."""
    model, held = victim(), random_images(20, seed=3)

    def loss(climbing: int) -> float:
        noise = NeuronNoise(model, 0.05, climbing, torch.Generator().manual_seed(1))
        logits = noise.perturbed(model, held.images / 255, held.labels)
        return float(torch.nn.functional.cross_entropy(logits, held.labels).detach())

    assert loss(steps) > loss(0)


def test_a_network_without_norms() -> None:
    with pytest.raises(NotApplicable):
        BANFT().repair(classifier(Plain()), CLEAN, torch.Generator())


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (1, [0.007727, -0.004409, -0.002435, -0.00093]),
        (2, [0.007727, -0.004426, -0.002444, -0.000905]),
    ],
)
def test_as_the_reference_three_steps(steps: int, expected: list[float]) -> None:
    """`train` of xiaoyunxxy/ban at 8a0f918 (ban_finetune.py), given the same noise to begin with:
    the way of the head's bias.
    """
    way = tuned(steps=steps).head.bias - victim().head.bias
    assert way.tolist() == pytest.approx(expected, abs=2e-6)
