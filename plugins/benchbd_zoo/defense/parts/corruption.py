"""Fifteen common corruptions of images at five severities, batched, on whatever device the images
are.

The list is that of Hendrycks and Dietterich (ICLR 2019, 1903.12261): gaussian, shot and impulse
noise; defocus, glass, motion and zoom blur; snow, frost and fog; brightness, contrast, elastic
transform, pixelate and JPEG compression. The formulas are written down here anew, lengths as shares
of the image's size, so strengths are not those of that paper: shot noise is the normal
approximation of counting, snow and frost are made of noise and not of photographs, and JPEG is its
quantisation of 8x8 cosine blocks without subsampled colour.

What is random is drawn once, as `Fields`: the same image is corrupted in the same way whatever else
is in its batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Fields:
    """Random layers for images (C, H, W): normal (C, H, W), uniform (C, H, W) in [0, 1], jitter and
    flow (2, H, W) in [-1, 1], the latter smooth, and clouds (1, H, W), smooth, in [0, 1].
    """

    normal: Tensor
    uniform: Tensor
    jitter: Tensor
    flow: Tensor
    clouds: Tensor


def drawn(shape: tuple[int, ...], rng: torch.Generator, device: torch.device) -> Fields:
    """Fields for images of a shape (C, H, W)."""
    size = (shape[1], shape[2])
    layers = (
        torch.randn(shape, generator=rng),
        torch.rand(shape, generator=rng),
        2 * torch.rand((2, *size), generator=rng) - 1,
        2 * _smooth(2, size, 1, rng) - 1,
        _smooth(1, size, 3, rng),
    )
    return Fields(*(layer.to(device) for layer in layers))


def _smooth(count: int, size: tuple[int, int], octaves: int, rng: torch.Generator) -> Tensor:
    """Noise of coarse grains and of finer, weaker ones, (count, H, W) in [0, 1]."""
    total = torch.zeros(count, *size)
    for octave in range(octaves):
        grains = torch.randn((1, count, 4 * 2**octave, 4 * 2**octave), generator=rng)
        total += F.interpolate(grains, size, mode="bicubic", align_corners=False)[0] / 2**octave
    low, high = total.amin((1, 2), keepdim=True), total.amax((1, 2), keepdim=True)
    return (total - low) / (high - low)


def gaussian_noise(x: Tensor, level: float, fields: Fields) -> Tensor:
    return x + level * fields.normal


def shot_noise(x: Tensor, level: float, fields: Fields) -> Tensor:
    """Of `level` counts in full light."""
    return x + (x / level).sqrt() * fields.normal


def impulse_noise(x: Tensor, level: float, fields: Fields) -> Tensor:
    return torch.where(
        fields.uniform < level / 2, 0.0, torch.where(fields.uniform > 1 - level / 2, 1.0, x)
    )


def defocus_blur(x: Tensor, level: float, fields: Fields) -> Tensor:
    """Mean over a disk with a soft edge of a pixel."""
    radius = level * x.shape[-1]
    reach = math.ceil(radius)
    steps = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    return _filtered(x, (radius + 1 - torch.hypot(steps[:, None], steps)).clamp(0, 1))


def glass_blur(x: Tensor, level: float, fields: Fields) -> Tensor:
    """Each pixel from somewhere near it."""
    return _moved(x, level * fields.jitter)


def motion_blur(x: Tensor, level: float, fields: Fields) -> Tensor:
    """Mean along a line that falls to the right."""
    steps = torch.linspace(-level, level, 9, device=x.device)
    line = torch.stack([steps, steps / 2], 1)[:, :, None, None]
    return torch.stack([_moved(x, shift) for shift in line]).mean(0)


def zoom_blur(x: Tensor, level: float, fields: Fields) -> Tensor:
    """Mean over growing pictures of the middle."""
    identity = _identity(x)
    return torch.stack(
        [_sampled(x, identity / (1 + zoom)) for zoom in torch.linspace(0, level, 7).tolist()]
    ).mean(0)


def snow(x: Tensor, level: float, fields: Fields) -> Tensor:
    """White flakes, blurred as they fall, on a picture that is paler than before."""
    flakes = (fields.uniform[:1] > 1 - level / 2).to(x.dtype)[None]
    pale = torch.maximum(x, x.mean(1, keepdim=True) * 0.7 + 0.3 * level)
    return (1 - level / 2) * x + level / 2 * pale + motion_blur(flakes, 0.05, fields)


def frost(x: Tensor, level: float, fields: Fields) -> Tensor:
    """Ice in the ridges between clouds, a little blue where there is colour."""
    ridges = (1 - (2 * fields.clouds - 1).abs()).square()
    tint = (
        torch.linspace(0.8, 1.0, x.shape[1], device=x.device)[:, None, None]
        if x.shape[1] > 1
        else 0.9
    )
    return (1 - level / 2) * x + level * ridges * tint


def fog(x: Tensor, level: float, fields: Fields) -> Tensor:
    """Light from clouds in between; the brightest pixel stays as bright as it was."""
    brightest = x.amax((1, 2, 3), keepdim=True)
    return (x + level * fields.clouds) * brightest / (brightest + level)


def brightness(x: Tensor, level: float, fields: Fields) -> Tensor:
    return x + level


def contrast(x: Tensor, level: float, fields: Fields) -> Tensor:
    mean = x.mean((2, 3), keepdim=True)
    return mean + level * (x - mean)


def elastic_transform(x: Tensor, level: float, fields: Fields) -> Tensor:
    return _moved(x, level * fields.flow)


def pixelate(x: Tensor, level: float, fields: Fields) -> Tensor:
    """`level` of the width and of the height are left."""
    down, across = (_boxes(side, max(1, round(level * side))).to(x) for side in x.shape[2:])
    return down @ x @ across.T


def jpeg_compression(x: Tensor, level: float, fields: Fields) -> Tensor:
    """Cosine coefficients of 8x8 blocks, rounded to multiples that grow with frequency and with
    `level`.
    """
    height, width = x.shape[2:]
    padded = F.pad(255 * x - 128, (0, -width % 8, 0, -height % 8), mode="replicate")
    basis = _cosines().to(x)
    blocks = padded.unfold(2, 8, 8).unfold(3, 8, 8)
    frequency = torch.arange(8, device=x.device, dtype=x.dtype)
    step = level * (10 + 6 * (frequency[:, None] + frequency))
    coefficients = ((basis @ blocks @ basis.T) / step).round() * step
    rows = (basis.T @ coefficients @ basis).transpose(3, 4).flatten(4, 5).flatten(2, 3)
    return (rows[:, :, :height, :width] + 128) / 255


Corruption = Callable[[Tensor, float, Fields], Tensor]
SEVERITIES: dict[Corruption, tuple[float, float, float, float, float]] = {
    gaussian_noise: (0.04, 0.08, 0.12, 0.18, 0.26),
    shot_noise: (100, 50, 25, 12, 5),
    impulse_noise: (0.02, 0.05, 0.09, 0.17, 0.27),
    defocus_blur: (0.02, 0.035, 0.05, 0.07, 0.1),
    glass_blur: (0.03, 0.05, 0.08, 0.12, 0.16),
    motion_blur: (0.05, 0.1, 0.15, 0.2, 0.3),
    zoom_blur: (0.06, 0.11, 0.16, 0.21, 0.31),
    snow: (0.05, 0.1, 0.2, 0.3, 0.4),
    frost: (0.1, 0.2, 0.3, 0.45, 0.6),
    fog: (0.2, 0.5, 0.8, 1.2, 1.8),
    brightness: (0.1, 0.2, 0.3, 0.4, 0.5),
    contrast: (0.6, 0.45, 0.3, 0.2, 0.1),
    elastic_transform: (0.03, 0.06, 0.1, 0.15, 0.2),
    pixelate: (0.8, 0.65, 0.5, 0.4, 0.3),
    jpeg_compression: (1, 2, 3.5, 6, 10),
}
"""The level of each severity, mild ones first; lengths in shares of the width, or where the image
is 2 wide.
"""


def corrupted(corruption: Corruption, severity: int, images: Tensor, fields: Fields) -> Tensor:
    """A corrupted copy of images (B, C, H, W) in [0, 1], in the 256 levels of stored pixels;
    severity from 1 to 5.
    """
    with torch.autocast(images.device.type, enabled=False):
        changed = corruption(images.float(), SEVERITIES[corruption][severity - 1], fields)
        return (255 * changed.clamp(0, 1)).round() / 255


def _filtered(x: Tensor, kernel: Tensor) -> Tensor:
    """Every channel under a square kernel of odd size, of which the sum is made 1."""
    reach, channels = kernel.shape[0] // 2, x.shape[1]
    weights = (kernel / kernel.sum()).expand(channels, 1, -1, -1)
    return F.conv2d(F.pad(x, (reach,) * 4, mode="replicate"), weights, groups=channels)


def _identity(x: Tensor) -> Tensor:
    """Where each pixel of an image lies, (2, H, W), x before y, in [-1, 1]."""
    down, right = (
        (2 * torch.arange(side, device=x.device, dtype=x.dtype) + 1) / side - 1
        for side in (x.shape[2], x.shape[3])
    )
    return torch.stack(torch.meshgrid(right, down, indexing="xy"))


def _moved(x: Tensor, shift: Tensor) -> Tensor:
    return _sampled(x, _identity(x) + shift)


def _sampled(x: Tensor, places: Tensor) -> Tensor:
    """The images at `places` (2, H, W)."""
    grid = places.movedim(0, -1).expand(len(x), -1, -1, -1)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _boxes(side: int, few: int) -> Tensor:
    """What of each pixel goes into each (side, side) when a row is averaged to `few` and stretched
    again.
    """
    fine, coarse = torch.arange(side + 1.0) / side, torch.arange(few + 1.0) / few
    right, left = (
        torch.minimum(fine[1:, None], coarse[1:]),
        torch.maximum(fine[:-1, None], coarse[:-1]),
    )
    shared = (right - left).clamp(min=0)
    return (side * shared) @ (few * shared).T


def _cosines() -> Tensor:
    """The orthonormal basis (8, 8) of the discrete cosine transform, a frequency a row."""
    k, n = torch.arange(8.0)[:, None], torch.arange(8.0)
    basis = torch.cos(math.pi * (2 * n + 1) * k / 16) / 2
    return torch.cat([basis[:1] / math.sqrt(2), basis[1:]])
