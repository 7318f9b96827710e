"""Shared work is done once per content, and done again when what it depends on, or its file, has changed."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.engine.recipe import Recipe
from benchbd.plugin.registry import create
from benchbd.record.remembered import clean_model, remembered, remembering
from benchbd.victim.model import Model


class Maker:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> dict[str, Tensor]:
        self.calls += 1
        return {"made": torch.full((2,), self.calls)}


def test_once_per_content(tmp_path: Path) -> None:
    make, weights = Maker(), torch.arange(4.0)
    with remembering(tmp_path):
        first = remembered("thing", [weights, {"a": 1}], make)
        again = remembered("thing", [weights.clone(), {"a": 1}], make)
        remembered("thing", [weights, {"a": 2}], make)
        remembered("thing", [weights + 1, {"a": 1}], make)
        remembered("thing", [weights.long(), {"a": 1}], make)
    assert torch.equal(first["made"], again["made"])
    assert make.calls == 4


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    make = Maker()
    with remembering(tmp_path):
        remembered("thing", [1], make)
        (path,) = tmp_path.glob("thing-*.pt")
        path.write_bytes(path.read_bytes()[:-40])
        remembered("thing", [1], make)
        remembered("thing", [1], make)
    assert make.calls == 2


def test_nothing_is_kept_where_nobody_says_where() -> None:
    make = Maker()
    for _ in range(2):
        remembered("thing", [1], make)
    assert make.calls == 2


def test_surrogates_of_one_start_are_one(tmp_path: Path, images: ImageSet) -> None:
    recipe = Recipe(epochs=1, batch_size=20, precision="fp32")

    def fresh(seed: int) -> nn.Module:
        return cast(Model, create("model", "resnet_small", {"width": 4})).classifier(images, seed)

    trained_alone = clean_model(fresh(0), images, recipe)
    with remembering(tmp_path):
        first, again, other = (clean_model(fresh(seed), images, recipe) for seed in (0, 0, 1))
    assert len(list(tmp_path.glob("surrogate-*.pt"))) == 2
    assert not first.training
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
        assert torch.equal(value, trained_alone.state_dict()[name])
    assert not torch.equal(first.head.weight, fresh(0).head.weight)  # type: ignore[union-attr, operator]
    assert not torch.equal(first.head.weight, other.head.weight)  # type: ignore[union-attr, operator]
