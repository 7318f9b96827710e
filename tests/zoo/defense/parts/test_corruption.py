"""Corruptions: formulas by hand, severities that grow, and that each image is corrupted as if it
were alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
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
def test_damage_grows_with_severity(corruption: Corruption) -> None:
    x = pictures()
    damage = [
        float((corrupted(corruption, severity, x, fields()) - x).square().mean())
        for severity in range(1, 6)
    ]
    assert damage[0] > 0 and damage == sorted(damage) and damage[4] > 1.5 * damage[0]


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
    torch.testing.assert_close(module.brightness(x, 0.3, none), x + 0.3)
    torch.testing.assert_close(module.contrast(x, 0.5, none).flatten(), torch.tensor([0.3, 0.5]))


def test_noise_has_its_size() -> None:
    x, drawn_once = torch.full((1, 3, 64, 64), 0.5), fields(shape=(3, 64, 64))
    assert float((module.gaussian_noise(x, 0.1, drawn_once) - x).std()) == pytest.approx(
        0.1, rel=0.05
    )
    assert float((module.shot_noise(x, 50, drawn_once) - x).std()) == pytest.approx(
        (0.5 / 50) ** 0.5, rel=0.05
    )
    hit = module.impulse_noise(x, 0.2, drawn_once) != x
    assert float(hit.double().mean()) == pytest.approx(0.2, abs=0.02)


def test_a_blur_without_reach_is_none() -> None:
    x = pictures()
    torch.testing.assert_close(module.defocus_blur(x, 0.0, fields()), x)
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
    torch.testing.assert_close(module.pixelate(x, 0.5, fields()), expected)
    three = torch.tensor([1.0, 2, 6]).expand(1, 1, 3, 3)
    torch.testing.assert_close(
        module.pixelate(three, 2 / 3, fields())[0, 0, 0], torch.tensor([4 / 3, 3.0, 14 / 3])
    )


def test_the_basis_is_the_cosine_transform() -> None:
    block = np.random.default_rng(0).normal(size=(8, 8))
    basis = module._cosines().double().numpy()
    np.testing.assert_allclose(basis @ block @ basis.T, dctn(block, norm="ortho"), atol=1e-5)


def test_jpeg_rounds_the_coefficients_of_every_block() -> None:
    x = pictures(2)
    found = 255 * module.jpeg_compression(x, 2.0, fields()).double().numpy() - 128
    steps = 2 * (10 + 6 * np.add.outer(np.arange(8), np.arange(8)))
    for block in (found[0, 0, :8, :8], found[1, 2, 8:, :8]):
        multiples = dctn(block, norm="ortho") / steps
        np.testing.assert_allclose(multiples, multiples.round(), atol=1e-3)
