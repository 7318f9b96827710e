"""Colours as luma and two differences (YCrCb) in whole levels, by the fixed-point rule of OpenCV.

All factors are multiples of 2^-14 and all levels whole numbers below 256. Products and sums are
therefore exact in float32, and no byte depends on the order of the sums or on the machine.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchbd_zoo.attack.parts.picture import LUMA
from benchbd_zoo.attack.parts.spectrum import TO_RGB

_UNIT = 2.0**14
_RED_SCALE, _BLUE_SCALE = 0.713, 0.564
_MIDDLE = 128.0
"""The level of no difference."""


def to_ycrcb(images: Tensor) -> Tensor:
    """Y, Cr and Cb of images (N, 3, H, W) on the scale to 255; float in whole levels."""
    levels = images.float()
    luma = _whole(torch.einsum("c,nchw->nhw", _fixed(LUMA), levels))
    red, blue = (
        _whole(_fixed((scale,)) * (levels[:, colour] - luma) + _MIDDLE)
        for colour, scale in ((0, _RED_SCALE), (2, _BLUE_SCALE))
    )
    return torch.stack([luma, red, blue], 1).clamp_(0, 255)


def from_ycrcb(levels: Tensor) -> Tensor:
    """Red, green and blue (N, 3, H, W) of Y, Cr and Cb in whole levels; float in whole levels, not
    clipped.
    """
    differences = levels - torch.tensor([0, _MIDDLE, _MIDDLE])[:, None, None]
    return _whole(torch.einsum("kc,nkhw->nchw", _fixed(TO_RGB["YCrCb"]), differences))


def _fixed(factors: tuple[float, ...] | tuple[tuple[float, ...], ...]) -> Tensor:
    return torch.tensor(factors).mul_(_UNIT).round_().div_(_UNIT)


def _whole(values: Tensor) -> Tensor:
    return values.add_(0.5).floor_()
