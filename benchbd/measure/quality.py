"""How visible a trigger is: PSNR, SSIM and the largest change, over pairs of clean and triggered
images.

PSNR = 10 log10(255^2 / MSE), of all pixels together, in decibels. SSIM (Wang, Bovik, Sheikh,
Simoncelli 2004): a Gaussian window of 11 pixels and sigma 1.5, k1 = 0.01, k2 = 0.03, mean over
channels, places inside of the image, and images; the window is smaller if the image is. LPIPS
(Zhang et al. 2018, 1801.03924) is computed where the package `lpips` and its weights are installed.
"""

from __future__ import annotations

import importlib.util
import math

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_PAIRS = 1000
"""The most pairs that are compared. They are spread evenly over all pairs."""

WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03


def image_quality(clean: Tensor, changed: Tensor) -> dict[str, float | None]:
    """Return the figures for uint8 images (N, C, H, W) and their changed versions.

    `psnr` in decibels, None if all images are unchanged; `ssim` up to 1; `linf` in levels of 255;
    `lpips` or None. All are None if there are no images.

    >>> darker = test.images // 2
    >>> sorted(image_quality(test.images, darker))
    ['linf', 'lpips', 'psnr', 'ssim']
    """
    if not len(clean):
        return {"psnr": None, "ssim": None, "linf": None, "lpips": None}
    places = torch.linspace(0, len(clean) - 1, min(MOST_PAIRS, len(clean))).round().long()
    before, after = clean[places].float(), changed[places].float()
    error = float((after - before).square().mean())
    return {
        "psnr": 10 * math.log10(255**2 / error) if error else None,
        "ssim": ssim(before, after),
        "linf": float((after - before).abs().max()),
        "lpips": _lpips(before, after),
    }


def ssim(first: Tensor, second: Tensor) -> float:
    """Return the mean structural similarity of images (N, C, H, W) on the scale from 0 to 255."""
    channels, size = first.shape[1], min(WINDOW, *first.shape[2:])
    offsets = torch.arange(size) - (size - 1) / 2
    line = torch.exp(-offsets.square() / (2 * SIGMA**2))
    window = torch.outer(line, line)
    kernel = (window / window.sum()).expand(channels, 1, size, size)

    def blurred(maps: Tensor) -> Tensor:
        return F.conv2d(maps, kernel, groups=channels)

    mean1, mean2 = blurred(first), blurred(second)
    variance1, variance2 = (
        blurred(first.square()) - mean1.square(),
        blurred(second.square()) - mean2.square(),
    )
    covariance = blurred(first * second) - mean1 * mean2
    c1, c2 = (K1 * 255) ** 2, (K2 * 255) ** 2
    similarity = (2 * mean1 * mean2 + c1) * (2 * covariance + c2)
    return float(
        (
            similarity / ((mean1.square() + mean2.square() + c1) * (variance1 + variance2 + c2))
        ).mean()
    )


def _lpips(first: Tensor, second: Tensor) -> float | None:
    """Return LPIPS with AlexNet, or None where it is not installed. It takes images on the scale
    from -1 to 1; grey images are repeated in three channels.
    """
    if importlib.util.find_spec("lpips") is None:
        return None
    import lpips

    try:
        distance = lpips.LPIPS(net="alex", verbose=False).eval()
    # its weights are fetched when it is built, which fails in its own ways where there is no
    # network
    except Exception:
        return None
    scaled = [(images / 127.5 - 1).expand(-1, 3, -1, -1) for images in (first, second)]
    with torch.inference_mode():
        return float(
            torch.cat(
                [distance(a, b) for a, b in zip(*(s.split(64) for s in scaled), strict=True)]
            ).mean()
        )
