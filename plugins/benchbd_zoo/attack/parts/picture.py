"""Pictures that attacks mix into images: files, and one that needs no file because it
is a formula.
"""

from __future__ import annotations

from math import pi
from pathlib import Path
from typing import Literal

import numpy
import torch
from PIL import Image
from torch import Tensor

from benchbd.api import ConfigError, DataError, ImageShape, NotApplicable, PixelMode, read_picture

Colour = tuple[int, int, int]
Pattern = Literal["picture", "noise"]

NIGHT, DAWN, SUN = (38, 24, 96), (255, 132, 72), (255, 236, 150)
SHALLOW, DEEP = (64, 196, 200), (8, 36, 92)
HORIZON, RADIUS = 0.62, 0.2
"""Height of the horizon and radius of the sun, as shares of the picture."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey picture (ITU-R BT.601)."""


def open_picture(path: Path, mode: PixelMode, who: str) -> Image.Image:
    """The picture in `path` in a mode of Pillow. Raises `ConfigError` in the name of `who`."""
    try:
        return read_picture(path, mode)
    except DataError as error:
        raise ConfigError(f"{who}: image: {error}") from None


def picture_file(path: Path, shape: ImageShape, who: str) -> Tensor:
    """The picture in `path`, resized bilinearly, uint8 (C, H, W); its transparency is not looked
    at.
    """
    channels, height, width = shape
    picture = open_picture(path, "L" if _is_grey(channels) else "RGB", who)
    pixels = torch.from_numpy(
        numpy.array(picture.resize((width, height), Image.Resampling.BILINEAR))
    )
    return pixels.reshape(height, width, channels).permute(2, 0, 1).contiguous()


def whole_picture(
    image: Path | None, pattern: Pattern, shape: ImageShape, who: str, rng: torch.Generator
) -> Tensor:
    """What is mixed into all of an image, uint8 (C, H, W): the file if there is one, else the
    sunrise or noise from `rng`.
    """
    if image is not None:
        return picture_file(image, shape, who)
    return (
        torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)
        if pattern == "noise"
        else sunrise(shape)
    )


def sunrise(shape: ImageShape) -> Tensor:
    """A sun on the horizon, rings of light in the sky, waves on the sea; uint8 (C, H, W)."""
    channels, height, width = shape
    y = ((torch.arange(height) + 0.5) / height)[:, None]
    x = ((torch.arange(width) + 0.5) / width - 0.5)[None]
    picture = torch.where(y < HORIZON, _sky(x, y), _sea(x, y))
    return in_channels(picture, channels)


def in_channels(picture: Tensor, channels: int) -> Tensor:
    """A colour picture (3, H, W) on the scale to 255 for images of so many channels, uint8 (C, H,
    W).
    """
    if _is_grey(channels):
        picture = (torch.tensor(LUMA)[:, None, None] * picture).sum(0, keepdim=True)
    return picture.round().to(torch.uint8)


def _sky(x: Tensor, y: Tensor) -> Tensor:
    """Night turning to dawn, in rings around the sun; x (1, W) from the middle and y (H, 1) from
    the top.
    """
    distance = torch.hypot(x, y - HORIZON)
    rings = 0.25 * torch.cos(2 * pi * distance / 0.16)
    return torch.where(
        distance < RADIUS, _solid(SUN), _between(_solid(NIGHT), _solid(DAWN), y / HORIZON + rings)
    )


def _sea(x: Tensor, y: Tensor) -> Tensor:
    """Wavy bands that darken towards the viewer, and the sun's reflection."""
    depth = y - HORIZON
    waves = 0.35 * torch.cos(2 * pi * (depth + 0.02 * torch.sin(20 * x)) / 0.13)
    water = _between(_solid(SHALLOW), _solid(DEEP), depth / (1 - HORIZON) + waves)
    return _between(water, _solid(SUN), 0.8 * torch.exp(-((x / 0.1) ** 2)))


def _between(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Colours (3, H, W) on the way from `first` to `second`; the share is cut to [0, 1]."""
    return first + (second - first) * share.clamp(0, 1)


def _solid(colour: Colour) -> Tensor:
    return torch.tensor(colour, dtype=torch.float32)[:, None, None]


def _is_grey(channels: int) -> bool:
    if channels not in (1, 3):
        raise NotApplicable(f"a picture has 1 or 3 channels, these images have {channels}")
    return channels == 1
