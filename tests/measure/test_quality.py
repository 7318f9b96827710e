"""Image quality against hand-computed values and a plain NumPy version of the formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchbd.measure.quality import image_quality, ssim


def random_images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(
        0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def ssim_by_hand(first: np.ndarray, second: np.ndarray, size: int) -> float:  # type: ignore[type-arg]
    """Window by window, as the paper writes it."""
    line = np.exp(-((np.arange(size) - (size - 1) / 2) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / np.outer(line, line).sum()
    c1, c2, found = (0.01 * 255) ** 2, (0.03 * 255) ** 2, []
    for a, b in zip(
        first.reshape(-1, *first.shape[2:]), second.reshape(-1, *second.shape[2:]), strict=True
    ):
        for top in range(a.shape[0] - size + 1):
            for left in range(a.shape[1] - size + 1):
                x, y = (part[top : top + size, left : left + size].astype(float) for part in (a, b))
                mx, my = (window * x).sum(), (window * y).sum()
                vx, vy, vxy = (
                    (window * (x - mx) ** 2).sum(),
                    (window * (y - my) ** 2).sum(),
                    (window * (x - mx) * (y - my)).sum(),
                )
                found.append(
                    (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
                )
    return float(np.mean(found))


def test_a_shift_of_five_levels() -> None:
    clean = random_images(4, 3, 16, 16).clamp(max=250)
    quality = image_quality(clean, clean + 5)
    assert quality["psnr"] == pytest.approx(10 * math.log10(255**2 / 25))
    assert quality["linf"] == 5


@pytest.mark.parametrize(("shape", "size"), [((2, 3, 14, 13), 11), ((2, 1, 8, 8), 8)])
def test_ssim_equals_the_formula(shape: tuple[int, ...], size: int) -> None:
    clean, other = random_images(*shape), random_images(*shape, seed=1)
    mixed = (0.7 * clean.float() + 0.3 * other.float()).round()
    assert ssim(clean.float(), mixed) == pytest.approx(
        ssim_by_hand(clean.numpy(), mixed.numpy(), size), abs=1e-4
    )


def test_unchanged_and_no_images() -> None:
    clean = random_images(3, 1, 8, 8)
    assert image_quality(clean, clean) == {
        "psnr": None,
        "ssim": pytest.approx(1),
        "linf": 0,
        "lpips": None,
    }
    assert set(image_quality(clean[:0], clean[:0]).values()) == {None}


def test_lpips_is_left_out_where_its_weights_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    class Offline:
        def __init__(self, **_: object) -> None:
            raise OSError("no network")

    module = type(torch)("lpips")
    module.LPIPS = Offline  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "lpips", module)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert (
        image_quality(random_images(2, 3, 8, 8), random_images(2, 3, 8, 8, seed=1))["lpips"] is None
    )
