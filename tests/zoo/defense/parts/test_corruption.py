"""Corruptions: formulas by hand, strengths of the package imagecorruptions, and that each image is
corrupted as if it were alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from scipy.fft import dctn
from torch import Tensor

from benchbd_zoo.defense.parts import corruption as module
from benchbd_zoo.defense.parts.corruption import SEVERITIES, Corruption, Fields, corrupted, drawn
from support.lanes import slow_but

SHAPE = (3, 16, 16)
RANDOM = {
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "glass_blur",
    "motion_blur",
    "snow",
    "frost",
    "fog",
    "elastic_transform",
}


def pictures(count: int = 6, shape: tuple[int, ...] = SHAPE) -> Tensor:
    """Pictures with coarse and fine detail."""
    rng = torch.Generator().manual_seed(3)
    coarse = torch.nn.functional.interpolate(
        torch.rand((count, shape[0], 4, 4), generator=rng), shape[1:], mode="bilinear"
    )
    return (255 * (0.5 * coarse + 0.4 * torch.rand(coarse.shape, generator=rng))).round() / 255


def fields(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> Fields:
    return drawn(shape, torch.Generator().manual_seed(seed), torch.device("cpu"))


PACKAGE = {
    "gaussian_noise": (0.0633, 0.0942, 0.1387, 0.1916, 0.2542),
    "shot_noise": (0.0670, 0.1033, 0.1466, 0.2169, 0.2691),
    "impulse_noise": (0.0150, 0.0299, 0.0450, 0.0849, 0.1352),
    "defocus_blur": (0.0292, 0.0392, 0.0542, 0.0619, 0.0673),
    "glass_blur": (0.0340, 0.0332, 0.0522, 0.0483, 0.0524),
    "motion_blur": (0.0384, 0.0510, 0.0617, 0.0690, 0.0731),
    "zoom_blur": (0.0186, 0.0229, 0.0257, 0.0293, 0.0341),
    "snow": (0.1729, 0.2850, 0.2862, 0.3437, 0.4039),
    "frost": (0.2522, 0.2902, 0.3094, 0.2914, 0.3021),
    "fog": (0.1165, 0.1268, 0.1359, 0.1372, 0.1427),
    "brightness": (0.0901, 0.1824, 0.2695, 0.3453, 0.3987),
    "contrast": (0.0504, 0.0588, 0.0672, 0.0755, 0.0797),
    "elastic_transform": (0.0349, 0.0437, 0.0541, 0.0606, 0.0681),
    "pixelate": (0.0160, 0.0181, 0.0254, 0.0336, 0.0366),
    "jpeg_compression": (0.0208, 0.0247, 0.0270, 0.0344, 0.0425),
}
"""Mean absolute changes of `waves_and_edges`, as shares of 255, at severity 1 to 5 by
imagecorruptions 1.1.2, over 20 draws.
"""


def waves_and_edges() -> npt.NDArray[np.uint8]:
    """Images (24, 32, 32, 3) of waves of few cycles, a plain rectangle and a plain corner, in weak
    colours as natural images have them.
    """
    count, side = 24, 32
    rng = np.random.default_rng(5)
    down, right = np.mgrid[:side, :side] / side
    pictures = []
    for _ in range(count):
        light, colour = rng.uniform(0.2, 0.7), rng.uniform(-0.15, 0.15, 3)
        picture = np.full((side, side, 3), light) + colour
        for _ in range(6):
            fy, fx = rng.uniform(-4, 4, 2)
            wave = np.cos(2 * np.pi * (fy * down + fx * right + rng.uniform()))
            picture += 0.25 * wave[..., None] * rng.uniform(0.4, 1, 3) / (1 + np.hypot(fy, fx))
        top, left, high, wide = rng.uniform((0, 0, 0.2, 0.2), (0.7, 0.7, 0.5, 0.5))
        inside = (abs(down - top - high / 2) < high / 2) & (abs(right - left - wide / 2) < wide / 2)
        picture[inside] = rng.uniform(0, 1, 3)
        picture[down + rng.uniform(-1, 1) * right > rng.uniform(0.9, 1.3)] = rng.uniform(0, 1, 3)
        pictures.append(picture)
    bright = np.mean(pictures, -1, keepdims=True)
    weak = np.clip(bright + 0.3 * (pictures - bright), 0, 1)
    return np.asarray(255 * weak, np.uint8)


def each() -> Any:
    """A random one and one that is not stand for the others in the fast lane."""
    return pytest.mark.parametrize(
        "corruption",
        slow_but(SEVERITIES, module.gaussian_noise, module.contrast),
        ids=lambda corruption: corruption.__name__,
    )


def test_the_fifteen_are_there() -> None:
    assert len(SEVERITIES) == 15
    assert all(callable(getattr(module, name)) for name in RANDOM)


@each()
def test_images_stay_images_and_the_original_stays(corruption: Corruption) -> None:
    x = pictures()
    before = x.clone()
    for severity in range(1, 6):
        found = corrupted(corruption, severity, x, fields())
        assert found.shape == x.shape and float(found.min()) >= 0 and float(found.max()) <= 1
        torch.testing.assert_close(255 * found, (255 * found).round())
    assert torch.equal(x, before)


@each()
def test_as_strong_as_the_package(corruption: Corruption) -> None:
    """Mean absolute changes are within 12 % of the package's on the same images."""
    x = torch.from_numpy(waves_and_edges()).permute(0, 3, 1, 2) / 255
    draws = [fields(seed, (3, 32, 32)) for seed in range(12)]
    found = [
        np.mean(
            [float((corrupted(corruption, severity, x, one) - x).abs().mean()) for one in draws]
        )
        for severity in range(1, 6)
    ]
    assert found == pytest.approx(PACKAGE[corruption.__name__], rel=0.12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow"])
def test_lengths_grow_with_the_image(name: str) -> None:
    """A picture of twice the size changes by as much."""
    small = torch.from_numpy(waves_and_edges()).permute(0, 3, 1, 2) / 255
    large = torch.nn.functional.interpolate(small, scale_factor=2, mode="bilinear")
    found = [
        np.mean(
            [
                float((corrupted(getattr(module, name), 3, x, fields(seed, size)) - x).abs().mean())
                for seed in range(6)
            ]
        )
        for x, size in ((small, (3, 32, 32)), (large, (3, 64, 64)))
    ]
    assert found[1] == pytest.approx(found[0], rel=0.12)


@each()
def test_an_image_is_corrupted_as_if_it_were_alone(corruption: Corruption) -> None:
    x, drawn_once = pictures(), fields()
    whole = corrupted(corruption, 3, x, drawn_once)
    alone = torch.cat([corrupted(corruption, 3, image, drawn_once) for image in x.split(1)])
    torch.testing.assert_close(alone, whole, atol=1.01 / 255, rtol=0)


@each()
def test_only_the_fields_are_random(corruption: Corruption) -> None:
    first, second = (corrupted(corruption, 4, pictures(), fields(seed)) for seed in (0, 1))
    assert torch.equal(first, second) is (corruption.__name__ not in RANDOM)


@each()
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 14)])
def test_grey_small_and_oblong_images(corruption: Corruption, shape: tuple[int, ...]) -> None:
    assert corrupted(corruption, 5, pictures(2, shape), fields(shape=shape)).shape == (2, *shape)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["defocus_blur", "motion_blur", "zoom_blur", "glass_blur", "pixelate", "elastic_transform"],
)
def test_what_moves_pixels_leaves_a_plain_picture(name: str) -> None:
    plain = torch.full((1, *SHAPE), 51 / 255)
    torch.testing.assert_close(corrupted(getattr(module, name), 5, plain, fields()), plain)


@pytest.mark.slow
def test_brightness_and_contrast_by_hand() -> None:
    x = torch.tensor([0.2, 0.6]).view(1, 1, 1, 2)
    none = fields()
    torch.testing.assert_close(module.brightness(x, none, 0.3), x + 0.3)
    torch.testing.assert_close(module.contrast(x, none, 0.5).flatten(), torch.tensor([0.3, 0.5]))
    colour = torch.tensor([0.2, 0.4, 0.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(
        module.brightness(colour, none, 0.2).flatten(), torch.tensor([0.3, 0.6, 0.0])
    )
    black = torch.zeros(1, 3, 1, 1)
    torch.testing.assert_close(module.brightness(black, none, 0.2), black + 0.2)


def test_noise_has_its_size() -> None:
    x, drawn_once = torch.full((1, 3, 64, 64), 0.5), fields(shape=(3, 64, 64))
    assert float((module.gaussian_noise(x, drawn_once, 0.1) - x).std()) == pytest.approx(
        0.1, rel=0.05
    )
    assert float((module.shot_noise(x, drawn_once, 50) - x).std()) == pytest.approx(
        (0.5 / 50) ** 0.5, rel=0.05
    )
    hit = module.impulse_noise(x, drawn_once, 0.2) != x
    assert float(hit.double().mean()) == pytest.approx(0.2, abs=0.02)


def test_a_blur_without_reach_is_none() -> None:
    x = pictures()
    torch.testing.assert_close(module.defocus_blur(x, fields(), 0.0), x)
    torch.testing.assert_close(module._moved(x, torch.zeros(2, 1, 1)), x)


@pytest.mark.slow
def test_pixels_of_even_parts_are_means_of_squares() -> None:
    x = pictures(2)
    expected = (
        x.unflatten(3, (8, 2))
        .unflatten(2, (8, 2))
        .mean((3, 5))
        .repeat_interleave(2, 2)
        .repeat_interleave(2, 3)
    )
    torch.testing.assert_close(module.pixelate(x, fields(), 0.5), expected)


def test_pixels_of_uneven_parts_are_those_of_pillow() -> None:
    """Within a level: Pillow rounds rows first and then columns."""
    given = waves_and_edges()[0]
    small = Image.fromarray(given).resize((19, 19), Image.Resampling.BOX)
    expected = np.asarray(small.resize((32, 32), Image.Resampling.NEAREST))
    x = torch.from_numpy(given).permute(2, 0, 1)[None] / 255
    found = 255 * module.pixelate(x, fields(), 0.6)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, expected, atol=1.01)


def test_the_basis_is_the_cosine_transform() -> None:
    block = np.random.default_rng(0).normal(size=(8, 8))
    basis = module._cosines().double().numpy()
    np.testing.assert_allclose(basis @ block @ basis.T, dctn(block, norm="ortho"), atol=1e-5)


def test_jpeg_rounds_the_coefficients_of_every_block() -> None:
    x = pictures(2)
    found = 255 * module.jpeg_compression(x, fields(), 25).double().numpy() - 128
    steps = 2 * (10 + 6 * np.add.outer(np.arange(8), np.arange(8)))
    for block in (found[0, 0, :8, :8], found[1, 2, 8:, :8]):
        multiples = dctn(block, norm="ortho") / steps
        np.testing.assert_allclose(multiples, multiples.round(), atol=1e-3)
