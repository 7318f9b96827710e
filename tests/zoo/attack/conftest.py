"""What the tests of attacks share: an attack made ready to stamp, and sets of images in
any shape.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from benchbd.attack.attack import Attack
from benchbd.data.images import ImageSet
from benchbd.engine.recipe import Recipe
from benchbd.plugin.registry import create
from benchbd.victim.model import Model

Prepare = Callable[..., Attack]
BuildFor = Callable[[ImageSet], nn.Module]
ImagesOf = Callable[..., ImageSet]
Handed = Callable[..., dict[str, Any]]
Counted = Callable[..., torch.Tensor]


@pytest.fixture(scope="session")
def short() -> Recipe:
    """One epoch in batches of 20."""
    return Recipe(epochs=1, batch_size=20, precision="fp32")


@pytest.fixture(scope="session")
def build_for() -> BuildFor:
    """A fresh narrow network for a set of images, the same one every time."""

    def build(train: ImageSet) -> nn.Module:
        return create(Model, "resnet_small", {"width": 4}).classifier(train, seed=0)

    return build


@pytest.fixture(scope="session")
def prepared(build_for: BuildFor, short: Recipe) -> Prepare:
    """`prepared(attack, train, seed)`: the attack, carrying what `prepare` makes of the seed."""

    def prepare(attack: Attack, train: ImageSet, seed: int = 0) -> Attack:
        rng = torch.Generator().manual_seed(seed)
        return attack.with_trigger(attack.prepare(train, lambda: build_for(train), short, rng))

    return prepare


@pytest.fixture(scope="session")
def images_of() -> ImagesOf:
    """`images_of(C, H, W)`: 60 random images in three classes, 20 of each, or as many as wanted."""

    def make(channels: int, height: int, width: int, count: int = 60) -> ImageSet:
        rng = torch.Generator().manual_seed(1)
        pixels = torch.randint(
            0, 256, (count, channels, height, width), generator=rng, dtype=torch.uint8
        )
        return ImageSet(pixels, torch.arange(count) % 3, ("ant", "bee", "cat"))

    return make


@pytest.fixture(scope="session")
def counted() -> Counted:
    """`counted(N, C, H, W)`: uint8 images whose value number n is 37 n modulo 256, so that code
    outside of the project can be run on the same ones.
    """

    def make(*shape: int) -> torch.Tensor:
        values = torch.arange(torch.Size(shape).numel()) * 37 % 256
        return values.reshape(shape).to(torch.uint8)

    return make


@pytest.fixture
def handed_to_fit(monkeypatch: pytest.MonkeyPatch) -> Handed:
    """`handed_to_fit(attack, images, batch, seed, model)`: what its `train` hands to the training
    loop, which is not run.
    """

    def handed(
        attack: Any,
        images: ImageSet,
        batch: int = 20,
        seed: int = 0,
        model: nn.Module | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        caught: dict[str, Any] = {}

        def fit(
            model: nn.Module, train: ImageSet, recipe: Recipe, rng: torch.Generator, **given: Any
        ) -> nn.Module:
            caught.update(given)
            return model

        monkeypatch.setattr(sys.modules[type(attack).__module__], "fit", fit)
        recipe = Recipe(batch_size=batch, precision="fp32", **options)
        attack.train(model or nn.Linear(1, 1), images, recipe, torch.Generator().manual_seed(seed))
        return caught

    return handed
