"""The source of training batches: a set that lies in memory, or one in a file that is read ahead in
shuffled blocks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from benchbd.data.augment import Batches
from benchbd.data.images import ImageSet
from benchbd.data.mapped import is_mapped
from benchbd.engine.recipe import Recipe

Edit = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""A function (images (B, C, H, W) uint8, labels (B,)) -> the batch to train on instead. Attacks
that control training use it.
"""

Batch = tuple[Tensor, Tensor]
"""Images (B, C, H, W) uint8 and labels (B,)."""

IMAGES_READ_TOGETHER = 1024
"""Number of images that lie side by side in a file and are read together, as one block."""

LEAST_REST_SHARE = 0.05
"""Smallest share of a set at which the rest of an epoch, the samples that do not fill a batch, is
trained on. A smaller rest is left out.
"""

POOL_BLOCKS = 16
"""Number of blocks, drawn from the whole set, whose images are shuffled together. They form a pool,
and two pools are in memory at a time.
"""

LARGE_SET_BYTES = 2**30
"""Size of a set in bytes from which on it is read in blocks. It does not depend on the machine: the
free memory decides where the images lie, but never their order.
"""


def batch_sizes(count: int, size: int) -> list[int]:
    """Return the sizes of the batches of an epoch over `count` samples, none above `size` >= 1.

    Samples that do not fill a batch are left out of the epoch if they are less than a twentieth of
    the set: another epoch leaves out other samples, and a batch of a few samples has poor
    statistics. In a smaller set they would be a large part of the work, which the data loaders of
    published code do not lose. There all samples are dealt into batches of nearly equal size, but
    never into batches of a single sample.

    >>> batch_sizes(50_000, 512) == [512] * 97
    True
    >>> batch_sizes(500, 256)
    [250, 250]
    """
    full, rest = divmod(count, size)
    many = full + 1
    if full and (rest < LEAST_REST_SHARE * count or count // many < 2):
        return [size] * full
    return [count // many + (place < count % many) for place in range(many)]


class Feed(ABC):
    """The batches of an epoch, cropped and flipped as the recipe says. An edit receives the images
    before they are cropped.
    """

    train: ImageSet

    def order(self, rng: torch.Generator) -> Tensor:
        """Return a fresh order (N,) of all samples. It is the same for a set in memory and in a
        file.
        """
        count = len(self.train)
        return (
            block_order(count, rng)
            if self.train.images.nbytes >= LARGE_SET_BYTES
            else torch.randperm(count, generator=rng)
        )

    @abstractmethod
    def batches(self, order: Tensor, sizes: Sequence[int]) -> Iterator[Batch]:
        """Yield batches of the given sizes, in the given order, from its beginning."""


def feed_of(
    train: ImageSet, device: torch.device, recipe: Recipe, edit: Edit | None, crops: torch.Generator
) -> Feed:
    """Return the feed for a set of images. A set in memory moves to the device as a whole."""
    if is_mapped(train.images):
        return FileFeed(train, device, recipe, edit, crops)
    return ResidentFeed(train.to(device), recipe, edit, crops)


class ResidentFeed(Feed):
    """The feed of a set that lies on the device."""

    def __init__(
        self, train: ImageSet, recipe: Recipe, edit: Edit | None, crops: torch.Generator
    ) -> None:
        self.train, self.recipe, self.edit, self.crops = train, recipe, edit, crops
        self.whole = None if edit else self._cropping(train.images, train.labels)

    def batches(self, order: Tensor, sizes: Sequence[int]) -> Iterator[Batch]:
        return map(self._take, order[: sum(sizes)].split(list(sizes)))

    def _take(self, places: Tensor) -> Batch:
        if self.whole is not None:
            return self.whole.take(places, self.crops)
        assert self.edit is not None
        there = places.to(self.train.labels.device, non_blocking=True)
        images, labels = self.edit(self.train.images[there], self.train.labels[there])
        return self._cropping(images, labels).take(torch.arange(len(labels)), self.crops)

    def _cropping(self, images: Tensor, labels: Tensor) -> Batches:
        recipe = self.recipe
        return Batches(images, labels, shift=recipe.shift, flip=recipe.flip, reflect=recipe.reflect)


class FileFeed(Feed):
    """The feed of a memory-mapped set. While one pool of images is trained on, a thread reads the
    next.
    """

    def __init__(
        self,
        train: ImageSet,
        device: torch.device,
        recipe: Recipe,
        edit: Edit | None,
        crops: torch.Generator,
    ) -> None:
        self.train, self.device, self.recipe, self.edit, self.crops = (
            train,
            device,
            recipe,
            edit,
            crops,
        )

    def batches(self, order: Tensor, sizes: Sequence[int]) -> Iterator[Batch]:
        together = max(1, IMAGES_READ_TOGETHER * POOL_BLOCKS // max(sizes))
        pools = [sizes[start : start + together] for start in range(0, len(sizes), together)]
        places = order[: sum(sizes)].split([sum(pool) for pool in pools])
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self._read, places[0])
            for pool, later in zip(pools, (*places[1:], None), strict=True):
                read = ahead.result()
                if later is not None:
                    ahead = reader.submit(self._read, later)
                resident = ResidentFeed(read.to(self.device), self.recipe, self.edit, self.crops)
                yield from resident.batches(torch.arange(len(read)), pool)

    def _read(self, places: Tensor) -> ImageSet:
        """Return the samples at `places`, in that order. They are read in the order of the file."""
        ascending, back = places.sort()
        return self.train.subset(ascending).subset(back.argsort())


def block_order(count: int, rng: torch.Generator) -> Tensor:
    """Return all places (N,) with the blocks in random order; the images of each `POOL_BLOCKS`
    blocks are shuffled together.
    """
    blocks = torch.randperm(-(-count // IMAGES_READ_TOGETHER), generator=rng)
    parts = []
    for pool in blocks.split(POOL_BLOCKS):
        places = (
            pool[:, None] * IMAGES_READ_TOGETHER + torch.arange(IMAGES_READ_TOGETHER)
        ).flatten()
        places = places[places < count]
        parts.append(places[torch.randperm(len(places), generator=rng)])
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.int64)
