"""The backdoor existence coefficient at its two ends, and linear CKA by hand."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from benchbd.api import BACKDOORED
from benchbd.testing.trial import hand_over
from benchbd_zoo.analysis.dormancy import Dormancy, cka, existence, maps_of


def points(seed: int, dims: int = 3) -> torch.Tensor:
    return torch.randn(40, dims, generator=torch.Generator().manual_seed(seed))


def test_the_backdoored_model_is_1_and_the_clean_twin_is_0() -> None:
    handed = hand_over()
    twin = handed.build_model().eval()
    models = {BACKDOORED: handed.model, "asleep": copy.deepcopy(handed.model), "sound": twin}
    scene = replace(handed.scene, models=models, clean_twin=lambda number=0: copy.deepcopy(twin))
    numbers = Dormancy(images=40).look(scene, handed.rng).numbers
    assert numbers["asleep"]["existence"] == pytest.approx(1)
    assert numbers["sound"]["existence"] == pytest.approx(0)
    assert numbers["asleep"]["similarity"] == pytest.approx(1)


def test_cka_by_its_definition_and_what_leaves_it() -> None:
    x, y = points(0).double(), points(1, 2).double()
    x_, y_ = x - x.mean(0), y - y.mean(0)
    expected = (y_.T @ x_).norm() ** 2 / ((x_.T @ x_).norm() * (y_.T @ y_).norm())
    assert cka(x, y) == pytest.approx(float(expected))
    rotation = torch.linalg.qr(points(2)[:3].double()).Q
    assert cka(x @ rotation, y) == pytest.approx(cka(x, y))
    assert cka(3 * x + 5, x) == pytest.approx(1)
    assert cka(torch.ones(40, 2), y) == 0


def test_existence_by_hand() -> None:
    """(0.9 - 0.6) / (1 - 0.6); the other layer says nothing, for the twin agrees there."""
    found = existence({"a": 0.9, "b": 1.0}, {"a": 0.6, "b": 0.995})
    assert found == {"a": pytest.approx(0.75)}


def test_layers_that_a_model_does_not_have_are_left_out() -> None:
    handed = hand_over()
    channels = {"network.body.1": torch.arange(16) < 2, "network.other": torch.ones(3).bool()}
    found = maps_of(handed.model, handed.test.images[:3], channels)
    assert {layer: maps.shape for layer, maps in found.items()} == {
        "network.body.1": torch.Size([3, 2 * 8 * 8])
    }
