"""BadNets (Gu, Dolan-Gavitt, Garg 2017, 1708.06733): a small fixed patch.

    x' = (1 - m) * x + m * p        m: mask of the patch, p: its picture

Poisoned samples are labelled with the target (all_to_one), or with the class after their own (all_to_all).

Departs from the paper: nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy
import torch
from torch import Tensor

from benchbd.api import LabelMode, NotApplicable, PoisoningAttack, param, relabel, to_uint8
from benchbd_zoo.attack.picture import open_picture


class BadNet(PoisoningAttack):
    """A square in a corner, or an image file of which the transparent parts let the picture through."""

    api = 1

    label_mode: LabelMode = param("all_to_one", "who is taken for what: every class for the target, or each for the next")
    size: int = param(3, "side of the square in pixels", ge=1)
    colour: tuple[int, int, int] = param((255, 255, 255), "red, green and blue of the square, 0 to 255; grey images take the mean")
    corner: Literal["bottom_right", "bottom_left", "top_right", "top_left"] = param("bottom_right", "where the patch sits")
    margin: int = param(0, "pixels between the patch and the edges of the image", ge=0)
    image: Path | None = param(None, "picture to use as the patch instead; it may have transparent parts")

    def attacked_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        return relabel(labels, num_classes, self.label_mode, self.target)

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        patch, mask = self._patch(images.shape[1])
        rows, columns = self._place(patch.shape[1:], images.shape[2:])
        stamped = images.clone()
        covered = stamped[:, :, rows, columns].float()
        stamped[:, :, rows, columns] = to_uint8((1 - mask) * covered + mask * patch)
        return stamped

    def _patch(self, channels: int) -> tuple[Tensor, Tensor]:
        """Picture (C, h, w) on the scale to 255, and mask (h, w) from 0, transparent, to 1."""
        if self.image is not None:
            return _read(self.image, channels)
        colour = torch.tensor(self.colour, dtype=torch.float32)
        colour = colour.mean()[None] if channels == 1 else colour
        return colour[:, None, None].expand(-1, self.size, self.size), torch.ones(self.size, self.size)

    def _place(self, patch: torch.Size, image: torch.Size) -> tuple[slice, slice]:
        height, width = patch[0] + self.margin, patch[1] + self.margin
        if height > image[0] or width > image[1]:
            raise NotApplicable(
                f"a patch of {patch[0]}x{patch[1]} pixels and a margin of {self.margin} do not fit images of {image[0]}x{image[1]}"
            )
        top = self.margin if "top" in self.corner else image[0] - height
        left = self.margin if "left" in self.corner else image[1] - width
        return slice(top, top + patch[0]), slice(left, left + patch[1])


def _read(path: Path, channels: int) -> tuple[Tensor, Tensor]:
    picture = open_picture(path, "RGBA" if channels == 3 else "LA", BadNet.name)
    pixels = torch.from_numpy(numpy.array(picture)).float().permute(2, 0, 1)
    return pixels[:-1], pixels[-1] / 255
