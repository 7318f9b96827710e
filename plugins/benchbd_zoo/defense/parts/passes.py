"""Passes over a small set of images: shuffled batches, cropped and flipped on the way."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from benchbd.api import Batches, ImageSet, batch_sizes, fork, to_float


class Passes:
    """Draws come from `rng`."""

    def __init__(
        self,
        images: ImageSet,
        batch_size: int,
        rng: torch.Generator,
        *,
        shift: int = 0,
        flip: bool = False,
    ) -> None:
        self.count, self.size = len(images), min(batch_size, len(images))
        self.sizes = batch_sizes(self.count, batch_size)
        self.batches = Batches(images.images, images.labels, shift=shift, flip=flip)
        self.order, self.crops = fork(rng), fork(rng)

    def once(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass in the batches that `batch_sizes` deals, each image at most once: images
        (B, C, H, W) in [0, 1] and labels (B,).
        """
        shuffled = torch.randperm(self.count, generator=self.order)
        return self._taken(shuffled[: sum(self.sizes)].split(self.sizes))

    def drawn(self, passes: int) -> Iterator[tuple[Tensor, Tensor]]:
        """As many images as in so many passes, drawn with replacement; the last batch may be
        smaller.
        """
        return self._taken(
            torch.randint(0, self.count, (passes * self.count,), generator=self.order).split(
                self.size
            )
        )

    def _taken(self, batches: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        for chosen in batches:
            images, labels = self.batches.take(chosen, self.crops)
            yield to_float(images), labels
