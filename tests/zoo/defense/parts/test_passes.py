"""Passes over a small set of images."""

from __future__ import annotations

import pytest
import torch

from benchbd_zoo.defense.parts.passes import Passes
from support.tiny_networks import random_images


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("batch_size", "sizes"), [(4, [4, 3, 3]), (9, [5, 5]), (64, [10]), (1, [1] * 10)]
)
def test_a_pass_shows_each_image_once(batch_size: int, sizes: list[int]) -> None:
    images = random_images(10)
    batches = list(Passes(images, batch_size, seeded()).once())
    assert [len(labels) for _, labels in batches] == sizes
    shown = (torch.cat([batch for batch, _ in batches]) * 255).round().to(torch.uint8)
    places = [int((images.images == image).flatten(1).all(1).nonzero()) for image in shown]
    assert sorted(places) == list(range(10))
    assert torch.equal(torch.cat([labels for _, labels in batches]), images.labels[places])


def test_draws_with_replacement_are_as_many_as_in_the_passes() -> None:
    batches = list(Passes(random_images(10), 8, seeded()).drawn(5))
    assert [len(labels) for _, labels in batches] == [8] * 6 + [2]


def test_the_generator_decides() -> None:
    first, again, other = (
        next(Passes(random_images(10), 4, seeded(s), shift=1, flip=True).once())[0]
        for s in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    passes = Passes(random_images(10), 4, seeded())
    assert not torch.equal(next(passes.once())[0], next(passes.once())[0])
