"""Fifteen common corruptions of images at five severities, batched, on whatever device the images
are.

The list and the constants of each severity are those of Hendrycks and Dietterich (ICLR 2019,
1903.12261) as the package imagecorruptions 1.1.2 has them: gaussian, shot and impulse noise;
defocus, glass, motion and zoom blur; snow, frost and fog; brightness, contrast, elastic transform,
pixelate and JPEG compression. The formulas are written down here anew. At 32 pixels lengths are
those of the package, and they grow with the shorter side of the image; the package keeps most of
them at any size and takes nothing below 32 pixels.

Where a formula differs: shot noise is the normal approximation of counting; glass takes every pixel
from somewhere near it, where the package swaps pixels one by one, and its reaches are set so that
images of CIFAR-10 change by as much; frost is made of clouds with the light and tint of the
package's photographs; the clouds of fog are three octaves of smooth noise; JPEG is its quantisation
of 8x8 cosine blocks of every channel, without subsampled colour, and weaker on strong colours.

What is random is drawn beforehand, as `Fields`: the same image is corrupted in the same way
whatever else is in its batch.
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
    """Random layers for images (C, H, W): normal (C, H, W), uniform (C, H, W) in [0, 1], jitter
    (2, H, W) in [-1, 1] and clouds (1, H, W), smooth, in [0, 1]; and a number, chance, in [-1, 1].
    """

    normal: Tensor
    uniform: Tensor
    jitter: Tensor
    clouds: Tensor
    chance: float


def drawn(shape: tuple[int, ...], rng: torch.Generator, device: torch.device) -> Fields:
    """Fields for images of a shape (C, H, W)."""
    size = (shape[1], shape[2])
    return Fields(
        normal=torch.randn(shape, generator=rng).to(device),
        uniform=torch.rand(shape, generator=rng).to(device),
        jitter=(2 * torch.rand((2, *size), generator=rng) - 1).to(device),
        clouds=_clouds(size, rng).to(device),
        chance=2 * float(torch.rand((), generator=rng)) - 1,
    )


def _clouds(size: tuple[int, int], rng: torch.Generator) -> Tensor:
    """Noise of coarse grains and of finer, weaker ones, (1, H, W) in [0, 1]."""
    total = torch.zeros(1, *size)
    for octave in range(3):
        grains = torch.randn((1, 1, 4 * 2**octave, 4 * 2**octave), generator=rng)
        total += F.interpolate(grains, size, mode="bicubic", align_corners=False)[0] / 2**octave
    return (total - total.min()) / (total.max() - total.min())


def gaussian_noise(x: Tensor, fields: Fields, level: float) -> Tensor:
    return x + level * fields.normal


def shot_noise(x: Tensor, fields: Fields, counts: float) -> Tensor:
    """Of `counts` counts in full light."""
    return x + (x / counts).sqrt() * fields.normal


def impulse_noise(x: Tensor, fields: Fields, share: float) -> Tensor:
    return torch.where(
        fields.uniform < share / 2, 0.0, torch.where(fields.uniform > 1 - share / 2, 1.0, x)
    )


def defocus_blur(x: Tensor, fields: Fields, radius: float) -> Tensor:
    """Mean over a disk with a soft edge of a pixel."""
    length = radius * _unit(x)
    steps = _steps(math.ceil(length), x)
    return _filtered(x, (length + 0.5 - torch.hypot(steps[:, None], steps)).clamp(0, 1))


def glass_blur(x: Tensor, fields: Fields, sigma: float, reach: float) -> Tensor:
    """Each pixel from somewhere near it, between two soft blurs."""
    return _softened(_moved(_softened(x, sigma), reach * fields.jitter), sigma)


def motion_blur(x: Tensor, fields: Fields, radius: float, sigma: float) -> Tensor:
    """A trail to one side, at most 45 degrees up or down."""
    return _trail(x, radius, sigma, math.pi / 4 * fields.chance)


def zoom_blur(x: Tensor, fields: Fields, most: float, step: float) -> Tensor:
    """Mean over growing pictures of the middle; the picture itself counts twice."""
    zooms = torch.arange(1, most + step / 2, step).tolist()
    return (x + sum(_zoomed(x, zoom) for zoom in zooms)) / (len(zooms) + 1)


def snow(
    x: Tensor,
    fields: Fields,
    mean: float,
    grain: float,
    threshold: float,
    radius: float,
    sigma: float,
    kept: float,
) -> Tensor:
    """White flakes in grains of some pixels, blurred as they fall, on a picture that is paler than
    before.
    """
    size = max(1.0, grain * _unit(x))
    noise = _zoomed(mean + 0.3 * fields.normal[None, :1], size)
    flakes = torch.where(noise < threshold, 0.0, noise).clamp(0, 1)
    fallen = _trail(flakes, radius, sigma, math.pi / 4 * fields.chance - math.pi / 2)
    pale = torch.maximum(x, 1.5 * x.mean(1, keepdim=True) + 0.5)
    return kept * x + (1 - kept) * pale + fallen + fallen.flip((2, 3))


def frost(x: Tensor, fields: Fields, kept: float, ice: float) -> Tensor:
    """Ice over the whole picture, a little blue where there is colour. Its mean, how much that
    varies, its contrast and its tint are near those of the package's photographs.
    """
    tint = (
        torch.linspace(0.9, 1.1, x.shape[1], device=x.device) if x.shape[1] > 1 else x.new_ones(1)
    )
    light = 0.64 + 0.17 * fields.chance + 0.1 * (2 * fields.clouds - 1)
    return kept * x + ice * light * tint[:, None, None]


def fog(x: Tensor, fields: Fields, level: float) -> Tensor:
    """Light from clouds in between; the brightest pixel stays as bright as it was."""
    brightest = x.amax((1, 2, 3), keepdim=True)
    return (x + level * fields.clouds) * brightest / (brightest + level)


def brightness(x: Tensor, fields: Fields, level: float) -> Tensor:
    """The largest channel is raised, the others in proportion; black becomes grey."""
    value = x.amax(1, keepdim=True)
    raised = (value + level).clamp(max=1)
    return torch.where(value > 0, x * raised / value, raised)


def contrast(x: Tensor, fields: Fields, kept: float) -> Tensor:
    mean = x.mean((2, 3), keepdim=True)
    return mean + kept * (x - mean)


def elastic_transform(x: Tensor, fields: Fields, strength: float) -> Tensor:
    """Each pixel from up to `strength` * .16 pixels away, with a flow softened by .32 pixels. At 32
    pixels that does next to nothing; larger images change less by it, as in the package.
    """
    return _moved(x, 0.16 * strength * _softened(fields.jitter[None], 0.32)[0])


def pixelate(x: Tensor, fields: Fields, kept: float) -> Tensor:
    """`kept` of the width and of the height are left."""
    down, across = (_boxes(side, max(1, int(kept * side))).to(x) for side in x.shape[2:])
    return down @ x @ across.T


def jpeg_compression(x: Tensor, fields: Fields, quality: float) -> Tensor:
    """Cosine coefficients of 8x8 blocks, rounded to multiples that grow with frequency and as the
    standard's do where the quality falls below 50.
    """
    height, width = x.shape[2:]
    padded = F.pad(255 * x - 128, (0, -width % 8, 0, -height % 8), mode="replicate")
    basis = _cosines().to(x)
    blocks = padded.unfold(2, 8, 8).unfold(3, 8, 8)
    frequency = torch.arange(8, device=x.device, dtype=x.dtype)
    step = 50 / quality * (10 + 6 * (frequency[:, None] + frequency))
    coefficients = ((basis @ blocks @ basis.T) / step).round() * step
    rows = (basis.T @ coefficients @ basis).transpose(3, 4).flatten(4, 5).flatten(2, 3)
    return (rows[:, :, :height, :width] + 128) / 255


Corruption = Callable[..., Tensor]
SEVERITIES: dict[Corruption, tuple[tuple[float, float, float, float, float], ...]] = {
    gaussian_noise: ((0.08, 0.12, 0.18, 0.26, 0.38),),
    shot_noise: ((60, 25, 12, 5, 3),),
    impulse_noise: ((0.03, 0.06, 0.09, 0.17, 0.27),),
    defocus_blur: ((3, 4, 6, 8, 10),),
    glass_blur: ((0.7, 0.9, 1, 1.1, 1.5), (2.4, 2.2, 4.8, 4.2, 4.6)),
    motion_blur: ((10, 15, 15, 15, 20), (3, 5, 8, 12, 15)),
    zoom_blur: ((1.11, 1.15, 1.2, 1.24, 1.3), (0.01, 0.01, 0.02, 0.02, 0.03)),
    snow: (
        (0.1, 0.2, 0.55, 0.55, 0.55),
        (3, 2, 4, 4.5, 2.5),
        (0.5, 0.5, 0.9, 0.85, 0.85),
        (10, 12, 12, 12, 12),
        (4, 4, 8, 8, 12),
        (0.8, 0.7, 0.7, 0.65, 0.55),
    ),
    frost: ((1, 0.8, 0.7, 0.65, 0.6), (0.4, 0.6, 0.7, 0.7, 0.75)),
    fog: ((1.5, 2, 2.5, 2.5, 3),),
    brightness: ((0.1, 0.2, 0.3, 0.4, 0.5),),
    contrast: ((0.4, 0.3, 0.2, 0.1, 0.05),),
    elastic_transform: ((12.5, 16.25, 21.25, 25, 30),),
    pixelate: ((0.6, 0.5, 0.4, 0.3, 0.25),),
    jpeg_compression: ((25, 18, 15, 10, 7),),
}
"""The constants of each corruption in the order in which it takes them, each at five severities,
mild ones first; lengths in pixels of an image of 32.
"""


def corrupted(corruption: Corruption, severity: int, images: Tensor, fields: Fields) -> Tensor:
    """A corrupted copy of images (B, C, H, W) in [0, 1], cut off to the 256 levels of stored pixels
    as the package does it; severity from 1 to 5.
    """
    constants = (row[severity - 1] for row in SEVERITIES[corruption])
    with torch.autocast(images.device.type, enabled=False):
        changed = corruption(images.float(), fields, *constants)
        # A level that is whole but for rounding stays.
        return (255 * changed.clamp(0, 1) + 1e-3).floor() / 255


def _unit(x: Tensor) -> float:
    """How many pixels of the images are one of images 32 pixels wide."""
    return min(x.shape[2:]) / 32


def _steps(reach: int, x: Tensor) -> Tensor:
    return torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)


def _softened(x: Tensor, sigma: float) -> Tensor:
    """Under a normal curve as far as four deviations."""
    length = sigma * _unit(x)
    curve = (-0.5 * (_steps(math.ceil(4 * length), x) / length).square()).exp()
    return _filtered(x, curve[:, None] * curve)


def _filtered(x: Tensor, kernel: Tensor) -> Tensor:
    """Every channel under a square kernel of odd size, of which the sum is made 1."""
    reach, channels = kernel.shape[0] // 2, x.shape[1]
    weights = (kernel / kernel.sum()).expand(channels, 1, -1, -1)
    return F.conv2d(F.pad(x, (reach,) * 4, mode="replicate"), weights, groups=channels)


def _trail(x: Tensor, radius: float, sigma: float, angle: float) -> Tensor:
    """Mean over shifts along a ray of twice the radius, by the half of a normal curve."""
    reach, deviation = round(2 * radius * _unit(x)), sigma * _unit(x)
    weights = [math.exp(-0.5 * (step / deviation) ** 2) for step in range(reach + 1)]
    padded = F.pad(x, (reach,) * 4, mode="replicate")
    total = torch.zeros_like(x)
    for step, weight in enumerate(weights):
        top, left = (reach + round(step * part) for part in (math.sin(angle), math.cos(angle)))
        total += weight * padded[..., top : top + x.shape[2], left : left + x.shape[3]]
    return total / sum(weights)


def _identity(x: Tensor) -> Tensor:
    """Where each pixel of an image lies, (2, H, W), x before y, in [-1, 1]."""
    down, right = (
        (2 * torch.arange(side, device=x.device, dtype=x.dtype) + 1) / side - 1
        for side in (x.shape[2], x.shape[3])
    )
    return torch.stack(torch.meshgrid(right, down, indexing="xy"))


def _moved(x: Tensor, shift: Tensor) -> Tensor:
    """Each pixel from `shift` (2, H, W) away, in pixels of an image of 32, x before y."""
    sides = x.new_tensor([x.shape[3], x.shape[2]])[:, None, None]
    return _sampled(x, _identity(x) + 2 * _unit(x) * shift / sides)


def _sampled(x: Tensor, places: Tensor) -> Tensor:
    """The images at `places` (2, H, W)."""
    grid = places.movedim(0, -1).expand(len(x), -1, -1, -1)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _zoomed(x: Tensor, zoom: float) -> Tensor:
    """The middle of the images, cut at whole pixels and enlarged as the package does it."""
    places = []
    for side in (x.shape[3], x.shape[2]):
        part = math.ceil(side / zoom)
        step = (part - 1) / max(1, round(part * zoom) - 1)
        pixels = (side - part) // 2 + step * torch.arange(side, device=x.device, dtype=x.dtype)
        places.append((2 * pixels + 1) / side - 1)
    return _sampled(x, torch.stack(torch.meshgrid(*places, indexing="xy")))


def _boxes(side: int, few: int) -> Tensor:
    """What of each pixel goes into each (side, side) when every one of `few` boxes in a row becomes
    its mean.
    """
    box = ((torch.arange(side) + 0.5) * few / side).floor()
    same = (box[:, None] == box).float()
    return same / same.sum(1, keepdim=True)


def _cosines() -> Tensor:
    """The orthonormal basis (8, 8) of the discrete cosine transform, a frequency a row."""
    k, n = torch.arange(8.0)[:, None], torch.arange(8.0)
    basis = torch.cos(math.pi * (2 * n + 1) * k / 16) / 2
    return torch.cat([basis[:1] / math.sqrt(2), basis[1:]])
