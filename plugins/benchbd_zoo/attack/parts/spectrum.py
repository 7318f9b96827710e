"""Waves of the block-wise discrete cosine transform, and how they look in an image once they lie in
its chroma.

All steps from colours to coefficients and back are linear. To add a number to some coefficients of
every image is therefore to add one and the same pattern to every image: the inverse transform of
just those numbers.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Literal

import torch
from torch import Tensor

from benchbd.api import ConfigError, ImageShape, NotApplicable

Positions = tuple[tuple[int, int], ...]
ColourSpace = Literal["YCrCb", "YUV"]

TO_RGB = {
    "YCrCb": ((1.0, 1.0, 1.0), (1.403, -0.714, 0.0), (0.0, -0.344, 1.773)),
    "YUV": ((1.0, 1.0, 1.0), (0.0, -0.396, 2.029), (1.14, -0.581, 0.0)),
}
"""What one unit of each channel is in red, green and blue (ITU-R BT.601, as OpenCV and as kornia
round it).
"""


def cosines(size: int) -> Tensor:
    """The orthonormal DCT of type II as a matrix (size, size): a row for each frequency."""
    frequency, place = (
        torch.arange(size, dtype=torch.float64)[:, None],
        torch.arange(size, dtype=torch.float64),
    )
    waves = sqrt(2 / size) * torch.cos(pi * (2 * place + 1) * frequency / (2 * size))
    waves[0] /= sqrt(2)
    return waves


def block_waves(
    positions: Positions | None, magnitude: float, window: int, height: int, width: int, who: str
) -> Tensor:
    """(H, W): the inverse transform of `magnitude` at each position, in every whole window; zero in
    what is left over.

    The window is no larger than the image. Without positions they are the highest frequency of it
    and the middle one, (31, 31) and (15, 15) of a window of 32.
    """
    window = min(window, height, width)
    places = positions or ((window - 1, window - 1), (window // 2 - 1, window // 2 - 1))
    if not all(len(place) == 2 and 0 <= min(place) <= max(place) < window for place in places):
        raise ConfigError(
            f"{who}: expected pos_list to be pairs from 0 to {window - 1}, got {list(places)}"
        )
    coefficients = torch.zeros(window, window, dtype=torch.float64)
    for row, column in places:
        coefficients[row, column] += magnitude
    block = cosines(window).T @ coefficients @ cosines(window)
    pattern = torch.zeros(height, width, dtype=torch.float64)
    rows, columns = height // window, width // window
    pattern[: rows * window, : columns * window] = block.repeat(rows, columns)
    return pattern


def in_channels(waves: Tensor, channels: tuple[int, ...], shape: ImageShape) -> Tensor:
    """(C, H, W): waves (H, W) in those channels of a colour space, nothing in the others; a grey
    image has one channel, and that takes them.
    """
    if shape[0] == 1:
        return waves[None]
    if shape[0] != 3:
        raise NotApplicable(f"chroma is a matter of 1 or 3 channels, these images have {shape[0]}")
    planes = torch.zeros(shape, dtype=waves.dtype)
    planes[list(channels)] = waves
    return planes


def in_colours(
    waves: Tensor, channels: tuple[int, ...], space: ColourSpace, shape: ImageShape
) -> Tensor:
    """(C, H, W): what `in_channels` gives is in red, green and blue; a grey image stays as it
    is.
    """
    planes = in_channels(waves, channels, shape)
    if len(planes) == 1:
        return planes.float()
    weight = torch.tensor(TO_RGB[space], dtype=torch.float64)
    return torch.einsum("kc,khw->chw", weight, planes).float()
