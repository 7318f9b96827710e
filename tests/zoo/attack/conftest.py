"""What the tests of attacks share: an attack made ready to stamp, and sets of images in any shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

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


@pytest.fixture(scope="session")
def short() -> Recipe:
    """One epoch in batches of 20."""
    return Recipe(epochs=1, batch_size=20, precision="fp32")


@pytest.fixture(scope="session")
def build_for() -> BuildFor:
    """A fresh narrow network for a set of images, the same one every time."""

    def build(train: ImageSet) -> nn.Module:
        return cast(Model, create("model", "resnet_small", {"width": 4})).classifier(train, seed=0)

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
        pixels = torch.randint(0, 256, (count, channels, height, width), generator=rng, dtype=torch.uint8)
        return ImageSet(pixels, torch.arange(count) % 3, ("ant", "bee", "cat"))

    return make
