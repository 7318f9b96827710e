"""Patches: a small square in a corner of the image, or a picture whose transparent parts let the
image through.

x' = (1 - m) * x + m * p        m: mask of the patch, p: its picture

Unless an attack says otherwise, a square has the same number of pixels on images of every size; at
224 pixels, 21 are what 3 are at 32.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import numpy
import torch
from PIL import Image
from torch import Tensor

from benchbd.api import (
    BuildModel,
    DataNote,
    ImageSet,
    ImageShape,
    NotApplicable,
    PoisoningAttack,
    Recipe,
    param,
    to_uint8,
)
from benchbd_zoo.attack.parts.picture import open_picture

BLACK, MOSTLY = 8, 0.5
"""The brightest level that counts as black, for JPEG is not exact, and the share of a picture from
which on black is its background.
"""

Corner = Literal["bottom_right", "bottom_left", "top_right", "top_left"]


class Patched(PoisoningAttack):
    """What attacks with a patch have in common: what it looks like, and where it sits."""

    size: int = param(3, "side of the square in pixels", ge=1)
    pattern: Literal["square", "checkerboard", "random"] = param(
        "square", "what fills it: one colour, that colour and black in turn, or pixels drawn once"
    )
    colour: tuple[int, int, int] = param(
        (255, 255, 255), "red, green and blue of the square, 0 to 255; grey images take the mean"
    )
    corner: Corner = param("bottom_right", "where the patch sits")
    margin: int = param(0, "pixels between the patch and the edges of the image", ge=0)
    image: Path | None = param(
        None, "picture to use as the patch instead; it may have transparent parts"
    )

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        if self.image is not None:
            patch, mask = _read(self.image, train.image_shape, self.name)
            return {"patch": patch, "mask": mask}
        if self.pattern != "random":
            return {}
        channels, height, width = train.image_shape
        side, _ = self.square(height, width)
        shape = (channels, side, side)
        return {"patch": torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)}

    def square(self, height: int, width: int) -> tuple[int, int]:
        """Return the side of the square on images of (H, W), and the pixels between the patch and
        their edges.
        """
        return self.size, self.margin

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return self.put(images, self.corner)

    def put(self, images: Tensor, corner: Corner) -> Tensor:
        """The images (N, C, H, W) with the patch in that corner."""
        _, channels, height, width = images.shape
        side, margin = self.square(height, width)
        patch, mask = self._patch(channels, side)
        rows, columns = _place(patch.shape[1:], images.shape[2:], margin, corner)
        stamped = images.clone()
        covered = stamped[:, :, rows, columns].float()
        stamped[:, :, rows, columns] = to_uint8((1 - mask) * covered + mask * patch)
        return stamped

    def _patch(self, channels: int, side: int) -> tuple[Tensor, Tensor]:
        """Picture (C, h, w) on the scale to 255, and mask (h, w) from 0, transparent, to 1."""
        if self.image is not None:
            return self.trigger["patch"], self.trigger["mask"]
        opaque = torch.ones(side, side)
        if self.pattern == "random":
            return self.trigger["patch"].float(), opaque
        colour = torch.tensor(self.colour, dtype=torch.float32)
        colour = colour.mean()[None] if channels == 1 else colour
        fields = checkerboard(side) if self.pattern == "checkerboard" else opaque
        return colour[:, None, None] * fields, opaque


def _place(
    patch: torch.Size, image: torch.Size, margin: int, corner: Corner
) -> tuple[slice, slice]:
    height, width = patch[0] + margin, patch[1] + margin
    if height > image[0] or width > image[1]:
        raise NotApplicable(
            f"a patch of {patch[0]}x{patch[1]} pixels and a margin of {margin} do not "
            f"fit images of {image[0]}x{image[1]}"
        )
    top = margin if "top" in corner else image[0] - height
    left = margin if "left" in corner else image[1] - width
    return slice(top, top + patch[0]), slice(left, left + patch[1])


def checkerboard(size: int) -> Tensor:
    """(size, size), 1 and 0 in turn along both sides; the diagonal is 1."""
    return ((torch.arange(size)[:, None] + torch.arange(size)) % 2 == 0).float()


def _read(path: Path, shape: ImageShape, who: str) -> tuple[Tensor, Tensor]:
    """Picture (C, h, w) on the scale to 255 and mask (h, w) from 0 to 1, at most as large as the
    images.
    """
    channels, height, width = shape
    picture = open_picture(path, "RGBA" if channels == 3 else "LA", who)
    covers = picture.height >= height and picture.width >= width
    if covers and picture.getextrema()[-1] == (255, 255):
        picture = _without_black(picture, path, who)
    shrink = min(height / picture.height, width / picture.width)
    if shrink < 1:
        size = max(1, round(shrink * picture.width)), max(1, round(shrink * picture.height))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(numpy.array(picture)).float().permute(2, 0, 1)
    return pixels[:-1], pixels[-1] / 255


def _without_black(picture: Image.Image, path: Path, who: str) -> Image.Image:
    """An opaque picture that covers all of an image: where it is mostly black it is a mark on
    black, of which the black is made transparent; any other hides the image, and that is said.
    """
    pixels = numpy.array(picture)
    black = (pixels[..., :-1] <= BLACK).all(-1)
    if black.mean() < MOSTLY:
        text = "leaves nothing of the images; give it transparent parts to be a patch"
    else:
        pixels[..., -1][black] = 0
        text = "is a mark on black, of which the black lets the images through"
    warnings.warn(f"{who}: the picture {path} {text}", DataNote, stacklevel=5)
    return Image.fromarray(pixels, picture.mode)
