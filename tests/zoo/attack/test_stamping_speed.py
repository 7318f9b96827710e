"""How long stamping takes on a set as large as CIFAR-10; skipped unless `--benchmark-only` is
given.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.plugin import registry
from benchbd.testing.subject import quick

CLASSES = {
    entry.name: registry.load("attack", entry.name)
    for entry in registry.entries("attack")
    if entry.provider == "benchbd" and entry.card.get("role") != "imported"
}
NAMES = [name for name, cls in CLASSES.items() if not cls.learns_trigger]
"""All whose trigger is there before the victim is trained."""


@pytest.fixture(scope="module")
def large() -> ImageSet:
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (50_000, 3, 32, 32), generator=rng, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(50_000) % 10, tuple("0123456789"))


@pytest.mark.parametrize("name", NAMES)
def test_stamp_fifty_thousand_images(
    benchmark: Any, prepared: Any, large: ImageSet, name: str
) -> None:
    cls = CLASSES[name]
    attack = prepared(cls(**quick(cls)), large.subset(torch.arange(500)))
    stamped = benchmark.pedantic(
        attack.apply,
        (attack.stamp, large.images, large.labels, torch.Generator()),
        rounds=3,
        warmup_rounds=1,
    )
    assert stamped.shape == large.images.shape
