"""What all tests share: tiny images, a tiny network, an attack result made once."""

from __future__ import annotations

import pytest
import torch

from benchbd.data.images import ImageSet


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def images(rng: torch.Generator) -> ImageSet:
    """60 random colour images of 16x16 pixels in three classes, 20 of each."""
    pixels = torch.randint(0, 256, (60, 3, 16, 16), generator=rng, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(60) % 3, ("ant", "bee", "cat"))
