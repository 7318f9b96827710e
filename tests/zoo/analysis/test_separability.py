"""Separability of planted clouds: the AUROC of two normal clouds is known."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import pytest
import torch
from torch import Tensor

from benchbd.api import NotApplicable
from benchbd.testing.trial import hand_over
from benchbd_zoo.analysis.parts.layers import FEATURES
from benchbd_zoo.analysis.separability import (
    Separability,
    halved,
    held_out,
    mean_difference,
    spectral_direction,
)

COUNT = 2000


def clouds(distance: float, dims: int, count: int = COUNT) -> tuple[Tensor, Tensor, Tensor]:
    """Two normal clouds of deviation 1, their groups, and halves."""
    rng = torch.Generator().manual_seed(3)
    h = torch.randn(2 * count, dims, generator=rng)
    h[count:, 0] += distance
    poisoned = torch.arange(2 * count) >= count
    return h, poisoned, halved(poisoned, rng)


def test_the_auroc_of_two_clouds_is_that_of_their_distance() -> None:
    """Phi(d / sqrt 2); three deviations of an AUROC of 1,000 and 1,000 samples are below 0.03."""
    h, poisoned, first = clouds(1.5, dims=3)
    expected = NormalDist().cdf(1.5 / 2**0.5)
    for direction in (mean_difference, spectral_direction):
        found, _ = held_out(h, poisoned, first, direction)
        assert found == pytest.approx(expected, abs=0.03)


def test_one_cloud_is_not_taken_for_two() -> None:
    """In 200 dimensions a direction that is judged on its own samples seems to separate them."""
    h, poisoned, first = clouds(0, dims=200, count=200)
    found, _ = held_out(h, poisoned, first)
    assert found == pytest.approx(0.5, abs=3 * (201 / (12 * 100 * 100)) ** 0.5)
    everywhere = torch.ones_like(first)
    own = h @ mean_difference(h, everywhere & poisoned)
    assert float((own[poisoned][:, None] > own[~poisoned]).double().mean()) > 0.8


def test_halves_share_each_group() -> None:
    groups = torch.tensor([0, 0, 0, 0, 1, 1])
    first = halved(groups, torch.Generator().manual_seed(0))
    assert [int(first[groups == group].sum()) for group in (0, 1)] == [2, 1]


def test_a_patch_separates_in_a_backdoored_network() -> None:
    handed = hand_over()
    found = Separability(samples=40).look(handed.scene, handed.rng)
    numbers = found.numbers["backdoored"]
    assert numbers["auroc"] > 0.9 and numbers["probe"] > 0.9
    assert [row["layer"] for row in found.tables["layers"]][-1] == FEATURES
    assert found.notes == {"of": "training samples", "class": "north-west"}


def test_test_images_stand_for_a_training_set_that_is_not_there() -> None:
    handed = hand_over()
    found = Separability(samples=20).look(replace(handed.scene, train=None), handed.rng)
    assert found.notes["of"] == "test images"


def test_too_few_samples_are_refused() -> None:
    handed = hand_over(poison_ratio=0.04)
    with pytest.raises(NotApplicable, match="8 poisoned"):
        Separability().look(handed.scene, handed.rng)
