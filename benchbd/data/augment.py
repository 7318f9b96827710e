"""Random crops and flips of whole batches, which are cut directly out of the uint8 images in
memory.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchbd.errors import ConfigError

_PACKED = 4
"""Channels of a packed pixel. The two to four channels of a pixel are packed into one 32-bit word,
so that a crop is one gather operation.
"""


class Batches:
    """Batches of images that are cropped at random and mirrored as they are taken.

    images: uint8 (N, C, H, W) with at most four channels, on the device where the batches are
    wanted, with labels (N,). shift: pixels of border around an image, from which a crop of the old
    size is cut. reflect: show the image mirrored in its border, which is zero otherwise. flip:
    mirror half of the images left to right. All draws come from a generator on the CPU, so they are
    the same on every device. Raises `ConfigError` for a mirrored border as wide as the images.

    >>> batches = Batches(test.images, test.labels, shift=2, flip=True)
    >>> images, labels = batches.take(torch.arange(10), rng)
    >>> images.shape, images.dtype, labels.shape
    (torch.Size([10, 3, 32, 32]), torch.uint8, torch.Size([10]))
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        shift: int = 0,
        flip: bool = False,
        reflect: bool = False,
    ) -> None:
        self.labels = labels
        self.shift, self.flip = shift, flip
        self.count, self.channels, self.height, self.width = images.shape
        self.plain = images if not (shift or flip) else None
        self.row = self.width + 2 * shift
        self.area = (self.height + 2 * shift) * self.row
        bordered = _mirrored if reflect else _zeros_around
        self.flat = _pack(bordered(images, shift)) if self.plain is None else None

    def take(self, indices: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the images (B, C, H, W) uint8 and labels (B,) at the places `indices` (B,),
        cropped and mirrored anew at each call.
        """
        device = self.labels.device
        places = indices.to(device, non_blocking=True)
        if self.plain is not None:
            return self.plain[places], self.labels[places]
        assert self.flat is not None
        rows, columns = (
            draw.to(device, non_blocking=True) for draw in self._draw(len(indices), rng)
        )
        position = (
            (places * self.area)[:, None, None]
            + (rows * self.row)[:, :, None]
            + columns[:, None, :]
        )
        return _unpack(torch.take(self.flat, position), self.channels), self.labels[places]

    def _draw(self, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the rows (B, H) and columns (B, W) of the bordered image that each crop shows."""
        rows, columns = torch.arange(self.height)[None], torch.arange(self.width)[None]
        if self.flip:
            mirrored = torch.rand(count, 1, generator=rng) < 0.5
            columns = torch.where(mirrored, self.width - 1 - columns, columns)
        if self.shift:
            offset = torch.randint(0, 2 * self.shift + 1, (2, count, 1), generator=rng)
            rows, columns = rows + offset[0], columns + offset[1]
        return rows.expand(count, -1), columns.expand(count, -1)


def _zeros_around(images: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(images, (width,) * 4) if width else images


def _mirrored(images: Tensor, width: int) -> Tensor:
    """Return the images with a border that mirrors them. torch's own function does not take
    uint8.
    """
    if width >= min(images.shape[2:]):
        raise ConfigError(
            f"a mirrored border of {width} pixels needs larger images than "
            f"{tuple(images.shape[2:])}; lower `shift` or leave `reflect` out"
        )
    rows, columns = (_reflected(side, width).to(images.device) for side in images.shape[2:])
    return images[:, :, rows][..., columns]


def _reflected(side: int, width: int) -> Tensor:
    """Return, for each place of a bordered row, (side + 2 width,), the place of the pixel that it
    shows.
    """
    places = torch.arange(-width, side + width).abs()
    return torch.where(places < side, places, 2 * (side - 1) - places)


def _pack(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) uint8 as one word per pixel, flat. A single channel stays as it
    is.
    """
    count, channels, height, width = images.shape
    if channels == 1:
        return images.reshape(-1)
    if channels > _PACKED:
        raise ValueError(f"expected images of at most {_PACKED} channels, got {channels}")
    words = images.new_zeros(count, height, width, _PACKED)
    words[..., :channels] = images.permute(0, 2, 3, 1)
    return words.view(torch.int32).reshape(-1)


def _unpack(words: Tensor, channels: int) -> Tensor:
    """Return words (B, H, W) as images (B, C, H, W) uint8 in channels-last memory."""
    if channels == 1:
        return words[:, None]
    return words[..., None].view(torch.uint8)[..., :channels].permute(0, 3, 1, 2)
