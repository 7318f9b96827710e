"""Reflections in a window pane, as light that is added to an image: a doubled one, or one out of
focus.

Lengths are those of a picture whose longest side is `longest` pixels, the size at which reflections
are usually made; on a smaller image they are the same share of it, fractions of a pixel where need
be, so that nothing is enlarged.
"""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor

GAMMA = 2.2
SPREAD = 3
"""Standard deviations of the veil's Gaussian from the middle of the picture to its edge."""


def to_light(images: Tensor) -> Tensor:
    """uint8 images as light in [0, 1]: a look-up, since there are only 256 levels."""
    levels = (torch.arange(256, dtype=torch.float64) / 255) ** GAMMA
    return levels.float()[images.int()]


def draw_reflections(
    count: int, ghost_rate: float, alpha_t: float | None, rng: torch.Generator
) -> dict[str, Tensor]:
    """What is random about each reflection (K,): its kind, its share of light, shift, doubling,
    blur and place.
    """

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=rng, dtype=torch.float64)

    side = torch.rand(count, generator=rng).round()
    return {
        "is_ghost": torch.rand(count, generator=rng) < ghost_rate,
        "alpha_t": 1 - uniform(0.05, 0.45)
        if alpha_t is None
        else torch.full((count,), alpha_t, dtype=torch.float64),
        "shift": torch.randint(3, 9, (count, 2), generator=rng),
        "ghost_alpha": (side - uniform(0.15, 0.5)).abs(),
        "sigma": uniform(1, 5),
        "attenuation": uniform(1.08, 1.18),
        "offset": torch.rand(count, 2, generator=rng, dtype=torch.float64),
    }


def layers(light: Tensor, drawn: dict[str, Tensor], longest: int) -> Tensor:
    """Light (K, C, H, W) as it is reflected: shifted against itself and added up, or blurred."""
    scale = max(light.shape[2:]) / longest
    rows, columns = light.shape[2:]
    doubled = torch.zeros_like(light)
    for share, late in ((drawn["ghost_alpha"], False), (1 - drawn["ghost_alpha"], True)):
        down, right = (
            _shifted(length, scale * shift, late).to(light)
            for length, shift in zip((rows, columns), drawn["shift"].T, strict=True)
        )
        doubled += share.to(light)[:, None, None, None] * (
            down[:, None] @ light @ right[:, None].mT
        )
    down, right = (_blur(length, scale * drawn["sigma"]).to(light) for length in (rows, columns))
    blurred = down[:, None] @ light @ right[:, None].mT
    return torch.where(drawn["is_ghost"][:, None, None, None], doubled, blurred)


def veils(height: int, width: int, drawn: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Along rows (K, H) and columns (K, W): how much of an out-of-focus reflection is seen, most
    near the middle.

    The veil is as large as the longer side, squared; along the shorter one it lies at a drawn
    place.
    """
    canvas = max(height, width)

    def along(length: int, offset: Tensor) -> Tensor:
        start = torch.floor(offset * (canvas - length))
        place = SPREAD * (2 * (start[:, None] + torch.arange(length) + 0.5) / canvas - 1)
        return torch.exp(-(place**2) / 4).float()  # the root of a Gaussian

    return along(height, drawn["offset"][:, 0]), along(width, drawn["offset"][:, 1])


def doubled_on(transmitted: Tensor, reflected: Tensor, alpha_t: Tensor) -> Tensor:
    """(N, C, H, W) in [0, 1]: a ghost over light (N, C, H, W) that comes through the pane."""
    return transmitted.lerp(reflected, 1 - alpha_t).clamp(0, 1) ** (1 / GAMMA)


def blurred_on(
    transmitted: Tensor, reflected: Tensor, alpha_t: Tensor, attenuation: Tensor, veil: Tensor
) -> Tensor:
    """(N, C, H, W) in [0, 1]: an out-of-focus reflection, dimmed where the sum of both would be too
    bright.
    """
    both = transmitted + reflected
    over = both > 1
    brightness = (both * over).sum((2, 3), keepdim=True) / (over.sum((2, 3), keepdim=True) + 1e-6)
    dimmed = (reflected - (brightness.clamp(min=1) - 1) * attenuation).clamp(0, 1)
    return (dimmed * veil * (1 - alpha_t / 2) + transmitted * alpha_t).clamp(0, 1) ** (1 / GAMMA)


def _shifted(length: int, shift: Tensor, late: bool) -> Tensor:
    """(K, length, length): reading the part that both copies of a picture show, stretched to the
    whole length.
    """
    step = (torch.arange(length) + 0.5) / length
    place = (
        shift[:, None] + step * (length - shift[:, None]) - 0.5 - (shift[:, None] if late else 0)
    )
    return (1 - (place.clamp(0, length - 1)[:, :, None] - torch.arange(length)).abs()).clamp(min=0)


def _blur(length: int, sigma: Tensor) -> Tensor:
    """(K, length, length): Gaussians cut off at two sigma, rounded up to pixels; near an edge what
    is there counts.
    """
    distance = (torch.arange(length)[:, None] - torch.arange(length)).abs()
    reach = torch.tensor([ceil(2 * width) for width in sigma.tolist()])
    weights = torch.exp(-((distance / sigma[:, None, None]) ** 2) / 2) * (
        distance <= reach[:, None, None]
    )
    return weights / weights.sum(2, keepdim=True)
