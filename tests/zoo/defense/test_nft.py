"""NFT: bounds and rates by formula, the mixed loss, and steps of the authors' code."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from benchbd.api import CleanSet
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.nft import NFT, distance, mixed_loss
from benchbd_zoo.defense.parts.masked_norms import MaskedNorms, descend
from support.inverting import victim
from support.tiny_networks import random_images

CLEAN = CleanSet(random_images(24, seed=1), random_images(8, seed=2))


def test_bounds_fall_with_depth() -> None:
    masks = {name: torch.zeros(2) for name in ("first", "second", "third")}
    NFT().bound(masks)
    found = [float(mask[0]) for mask in masks.values()]
    assert found == pytest.approx([0.8 * math.exp(-0.5 * place) for place in (1, 2, 3)])


def test_rates_as_the_reference() -> None:
    """CosineAnnealingLR(optimizer, 5, 0.02) of PyTorch, as the authors call it."""
    rates = [NFT(steps=1000).rate(step) for step in (0, 199, 200, 400, 600, 999)]
    assert rates == pytest.approx([0.05, 0.05, 0.047135, 0.039635, 0.030365, 0.022865], abs=1e-6)


def test_distance_from_one() -> None:
    masks = {"a": torch.tensor([1.0, 0.5]), "b": torch.tensor([0.75])}
    assert float(distance(masks)) == pytest.approx(0.75)


def test_as_the_reference_six_steps() -> None:
    """`NFT_Train` of nazmul-karim170/NFT-Augmented-Backdoor-Purification at 9e40cac
    (src/Remove_Backdoor.py), given the same shares and orders: the masks. Its lines that count
    accuracy, which use names before they are set, were left out.
    """
    held, masked = CLEAN.all(), MaskedNorms(victim())
    sgd = torch.optim.SGD(masked.masks.values(), lr=0.05, momentum=0.95)
    rng = torch.Generator().manual_seed(4)
    for _ in range(6):
        loss = mixed_loss(masked, held.images / 255, held.labels, rng)
        descend(masked.masks, loss + 1e-3 / 8 * distance(masked.masks), sgd)
        NFT().bound(masked.masks)
    first, second = masked.values().values()
    assert first.tolist() == pytest.approx([0.997816, 1, 0.995007, 1, 0.98996, 0.992115], abs=2e-6)
    assert second.tolist() == pytest.approx([1, 0.999891, 1, 1, 0.999827, 0.992915], abs=2e-6)


def test_scales_alone_and_statistics_change() -> None:
    with default_precision("fp32"):
        found = NFT(steps=4).repair(victim(), CLEAN, torch.Generator().manual_seed(0))
    model: Any = found.model
    before = dict(victim().named_parameters())
    for name, weight in model.named_parameters():
        layer = name.removesuffix(".weight")
        mask = found.tensors.get(f"mask.{layer}", torch.ones(1))
        torch.testing.assert_close(weight, before[name] * mask)
    assert not model.training and not torch.equal(
        model.network.body.bn1.running_mean, victim().get_buffer("network.body.bn1.running_mean")
    )
