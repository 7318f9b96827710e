"""Batches from memory and from a file: every sample once, shuffled far and wide, and the same
training.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.data.mapped import mapped
from benchbd.engine import feed as module
from benchbd.engine.feed import FileFeed, batch_sizes, block_order, feed_of
from benchbd.engine.recipe import Recipe
from benchbd.engine.training import fit
from benchbd.plugin.registry import create
from benchbd.victim.model import Model

RECIPE = Recipe(epochs=2, batch_size=20, shift=0, precision="fp32")
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IMAGES_READ_TOGETHER", 8)
    monkeypatch.setattr(module, "POOL_BLOCKS", 4)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def on_disk(images: ImageSet) -> ImageSet:
    pixels = mapped(tuple(images.images.shape))
    pixels.copy_(images.images)
    return ImageSet(pixels, images.labels, images.class_names)


def numbered(count: int) -> ImageSet:
    """Each image is its number."""
    pixels = (
        torch.arange(count, dtype=torch.uint8)[:, None, None, None]
        .expand(count, 3, 4, 4)
        .contiguous()
    )
    return ImageSet(pixels, torch.arange(count) % 3, ("a", "b", "c"))


def test_blocks_are_read_together_and_every_place_comes_once() -> None:
    assert sorted(block_order(100, generator()).tolist()) == list(range(100))
    order = block_order(96, generator())
    assert sorted(order.tolist()) == list(range(96))
    pools = [{place // 8 for place in pool.tolist()} for pool in order.split(32)]
    assert [len(blocks) for blocks in pools] == [4, 4, 4]
    assert not torch.equal(order, block_order(96, generator(1)))
    assert order[:32].diff().abs().float().mean() > 8


@pytest.mark.parametrize("size", [1, 7, 20, 64])
def test_a_file_gives_the_samples_of_the_order(size: int) -> None:
    images = on_disk(numbered(100))
    source = feed_of(images, CPU, RECIPE, None, generator())
    assert isinstance(source, FileFeed)
    order = source.order(generator(3))
    assert sorted(order.tolist()) == list(range(100))
    sizes = [size] * (100 // size) + [100 % size] * (100 % size > 0)
    batches = list(source.batches(order, sizes))
    assert torch.cat([pixels[:, 0, 0, 0] for pixels, _ in batches]).tolist() == order.tolist()
    assert torch.cat([labels for _, labels in batches]).tolist() == (order % 3).tolist()
    assert [len(labels) for _, labels in batches] == sizes


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [
        (500, 256, [250, 250]),  # in the loaders of reference code 256 and 244, two steps, too
        (500, 128, [125] * 4),
        (288, 100, [96] * 3),
        (50_000, 512, [512] * 97),  # 336 of 50,000 are left out
        (256, 128, [128, 128]),
        (20, 64, [20]),
        (21, 20, [20]),  # never one alone
        (3, 2, [2]),
        (3, 1, [1, 1, 1]),
        (1, 8, [1]),
    ],
)
def test_the_batches_of_an_epoch(count: int, size: int, sizes: list[int]) -> None:
    assert batch_sizes(count, size) == sizes


def test_edits_and_crops_are_those_of_memory() -> None:
    images, recipe = numbered(60), RECIPE.model_copy(update={"shift": 2, "flip": True})
    order = torch.arange(60)

    def edit(pixels: torch.Tensor, labels: torch.Tensor) -> Any:
        return 255 - pixels, labels + 1

    for change in (None, edit):
        memory = list(feed_of(images, CPU, recipe, change, generator(5)).batches(order, [10] * 6))
        file = list(
            feed_of(on_disk(images), CPU, recipe, change, generator(5)).batches(order, [10] * 6)
        )
        assert all(
            torch.equal(a, b)
            for x, y in zip(memory, file, strict=True)
            for a, b in zip(x, y, strict=True)
        )


@pytest.mark.parametrize("large", [0, 2**30])
def test_the_same_call_trains_on_both(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    """What memory is free decides where images lie, and not one bit of the weights."""
    monkeypatch.setattr(module, "LARGE_SET_BYTES", large)
    fresh = [
        create(Model, "resnet_small", {"width": 4}).classifier(images, seed=0) for _ in range(2)
    ]
    one, other = (
        fit(model, data, RECIPE, generator())
        for model, data in zip(fresh, (images, on_disk(images)), strict=True)
    )
    assert all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )
