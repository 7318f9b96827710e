"""The bundled picture: what stands where in it, at any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchbd.errors import NotApplicable
from benchbd_zoo.attack.parts.picture import sunrise


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 8, 8), (3, 32, 32), (1, 28, 28), (3, 30, 50), (3, 224, 224)]
)
def test_it_fills_any_size_with_contrast(shape: tuple[int, int, int]) -> None:
    picture = sunrise(shape)
    assert picture.shape == shape
    assert picture.dtype == torch.uint8
    assert picture.double().std() > 40


@pytest.mark.parametrize("size", [32, 64, 224])
def test_the_sun_stands_between_a_warm_sky_and_a_cold_sea(size: int) -> None:
    red, _, blue = sunrise((3, size, size)).double()
    assert red[int(0.55 * size), size // 2] == 255
    assert (red[int(0.56 * size)] > blue[int(0.56 * size)]).all()
    assert blue[-1, 0] > red[-1, 0]


def test_the_sky_is_its_own_mirror_image() -> None:
    sky = sunrise((3, 32, 32))[:, :19]
    assert torch.equal(sky, sky.flip(2))


def test_grey_is_the_brightness_of_the_colours() -> None:
    red, green, blue = sunrise((3, 32, 32)).numpy().astype(np.float64)
    np.testing.assert_allclose(
        sunrise((1, 32, 32))[0], 0.299 * red + 0.587 * green + 0.114 * blue, atol=1.01
    )


def test_other_channels_are_refused() -> None:
    with pytest.raises(NotApplicable, match="1 or 3 channels, these images have 4"):
        sunrise((4, 8, 8))
