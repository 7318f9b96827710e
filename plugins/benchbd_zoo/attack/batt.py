"""BATT (Xu, Li, Jiang, Xia, ICASSP 2023, 2211.01806): the image itself, turned or moved by a
certain amount, is the trigger.

    1. poisoned: the image turned by theta* = `angle` degrees, labelled with the target
    2. cover: the image turned by a random angle within +-`benign_angle`, with its true label, so
       that a small turn means nothing
    3. test images are turned by theta*

With motion=translation they are moved to the right by `distance` of their width, and cover images
by a random distance within +-`benign_distance`, in whole pixels. Pixels are taken as they are, the
nearest one; where no pixel comes from, it is black.

Departs from the paper: its victim turns every other training image at random, anew in every epoch,
which a poisoned data set cannot ask for. Here `cover_ratio` of the training images are turned once,
and test images without a trigger are not turned. The authors' file for translation moves poisoned
images by nothing; twice the benign range is ours, and so is black instead of pixels that leave on
one side and come back on the other.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from benchbd.api import param
from benchbd_zoo.attack.parts.cover import Covered


class BATT(Covered):
    """Nothing is drawn for the trigger, and nothing is stored."""

    api = 1
    quick: ClassVar[dict[str, Any]] = {"poison_ratio": 0.1, "cover_ratio": 0.1}

    poison_ratio: float = param(0.05, "share of the samples that are poisoned", ge=0, le=1)
    cover_ratio: float = param(
        0.3, "share of the samples that are moved a little and keep their label", ge=0, le=1
    )
    motion: Literal["rotation", "translation"] = param("rotation", "what is done to the image")
    angle: float = param(
        16.0, "degrees by which the trigger turns an image, counterclockwise", ge=-180, le=180
    )
    benign_angle: float = param(
        10.0, "degrees by which a cover image is turned at most, either way", ge=0, le=180
    )
    distance: float = param(
        0.2, "share of its width by which the trigger moves an image to the right", ge=-1, le=1
    )
    benign_distance: float = param(
        0.1, "share of its width by which a cover image is moved at most, either way", ge=0, le=1
    )

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        amount = self.angle if self.motion == "rotation" else self.distance
        return self._moved(images, torch.tensor([amount], dtype=torch.float64))

    def stamp_cover(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        most = self.benign_angle if self.motion == "rotation" else self.benign_distance
        unit = torch.rand(len(images), generator=rng, dtype=torch.float64)
        return self._moved(images, most * (2 * unit - 1))

    def _moved(self, images: Tensor, amount: Tensor) -> Tensor:
        """Images (N, C, H, W) moved by an amount each (N,), or all by one (1,)."""
        return (rotated if self.motion == "rotation" else translated)(images, amount)


def rotated(images: Tensor, degrees: Tensor) -> Tensor:
    """Images (N, C, H, W) turned counterclockwise about their middle by degrees (N,) or (1,)."""
    height, width = images.shape[2:]
    angle = degrees.deg2rad()[:, None, None]
    y = (torch.arange(height, dtype=torch.float64) + 0.5 - height / 2)[:, None]
    x = torch.arange(width, dtype=torch.float64) + 0.5 - width / 2
    from_x = x * angle.cos() - y * angle.sin() + width / 2
    from_y = x * angle.sin() + y * angle.cos() + height / 2
    return _taken(images, from_y.floor().long(), from_x.floor().long())


def translated(images: Tensor, share: Tensor) -> Tensor:
    """Images (N, C, H, W) moved to the right by shares of their width (N,) or (1,), in whole
    pixels.
    """
    height, width = images.shape[2:]
    columns = torch.arange(width) - (share * width).round().long()[:, None, None]
    return _taken(images, torch.arange(height)[:, None].expand(len(share), -1, width), columns)


def _taken(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Each pixel from a row and a column of its image, (N, H, W) or (1, H, W); black where these
    lie outside.
    """
    count, channels, height, width = images.shape
    rows, columns = torch.broadcast_tensors(rows, columns)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    place = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).flatten(1)
    found = images.flatten(2).gather(2, place[:, None].expand(count, channels, -1))
    return found.reshape(images.shape) * inside[:, None].to(images.dtype)
