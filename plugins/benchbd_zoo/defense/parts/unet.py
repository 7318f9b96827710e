"""A U-Net from images to images of the same size (Ronneberger, Fischer and Brox, MICCAI 2015,
1505.04597), with InstanceNorm and leaky rectifiers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import ImageShape, draw_seed, global_random_state

WIDEST = 512
"""Most channels of a level."""


class UNet(nn.Module):
    """From maps (N, C, H, W) to maps (N, C, H, W), without a bound on what comes out.

    Each of `levels` levels halves the size and doubles the channels, which begin with `width`.
    """

    def __init__(self, channels: int, width: int, levels: int) -> None:
        super().__init__()
        widths = [min(width * 2**level, WIDEST) for level in range(levels)]
        self.down = nn.ModuleList(
            _Block(inside, outside)
            for inside, outside in zip([channels, *widths], widths, strict=False)
        )
        self.middle = _Block(widths[-1], 2 * widths[-1])
        self.up = nn.ModuleList(
            _Up(inside, outside)
            for inside, outside in zip(
                [2 * widths[-1], *reversed(widths)], reversed(widths), strict=False
            )
        )
        self.last = nn.Conv2d(widths[0], channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps, kept = images, []
        for block in self.down:
            maps = block(maps)
            kept.append(maps)
            maps = F.max_pool2d(maps, 2)
        maps = self.middle(maps)
        for block in self.up:
            maps = block(maps, kept.pop())
        return self.last(maps)  # type: ignore[no-any-return]


class _Block(nn.Sequential):
    """Two 3x3 convolutions, each with InstanceNorm and a leaky rectifier."""

    def __init__(self, inside: int, outside: int) -> None:
        layers: list[nn.Module] = []
        for width in (inside, outside):
            layers += [
                nn.Conv2d(width, outside, 3, padding=1),
                nn.InstanceNorm2d(outside, affine=True),
                nn.LeakyReLU(),
            ]
        super().__init__(*layers)


class _Up(nn.Module):
    """Twice the size by a transposed convolution, beside the maps of the way down."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.grow = nn.ConvTranspose2d(inside, inside, 3, stride=2, padding=1, output_padding=1)
        self.mix = _Block(inside + outside, outside)

    def forward(self, maps: Tensor, beside: Tensor) -> Tensor:
        grown = F.leaky_relu(self.grow(maps))
        below, right = beside.shape[2] - grown.shape[2], beside.shape[3] - grown.shape[3]
        if below or right:  # halving an odd size lost a row or a column
            grown = F.pad(grown, (0, right, 0, below), mode="replicate")
        return self.mix(torch.cat([grown, beside], 1))  # type: ignore[no-any-return]


def drawn_unet(shape: ImageShape, width: int, most_levels: int, rng: torch.Generator) -> UNet:
    """A U-Net for images of a shape (C, H, W) with weights from `rng`, on the CPU.

    It has `most_levels` levels, or as many as leave maps of at least 2x2 places in the middle:
    InstanceNorm would make nothing of a single place.
    """
    side = min(shape[1:])
    levels = max(1, min(most_levels, side.bit_length() - 2))
    with global_random_state(draw_seed(rng)):
        return UNet(shape[0], width, levels)
