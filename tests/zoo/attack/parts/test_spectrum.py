"""Waves of the cosine transform against SciPy's, and where they lie."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from benchbd.errors import ConfigError, NotApplicable
from benchbd_zoo.attack.parts.spectrum import TO_RGB, block_waves, cosines, in_colours


@pytest.mark.parametrize("size", [2, 8, 14, 32])
def test_the_matrix_is_the_orthonormal_transform(size: int) -> None:
    np.testing.assert_allclose(
        cosines(size), fft.dct(np.eye(size), axis=0, norm="ortho"), atol=1e-12
    )


@pytest.mark.parametrize(
    ("height", "width", "window"),
    [(32, 32, 32), (224, 224, 32), (16, 16, 16), (28, 28, 28), (40, 70, 32)],
)
def test_every_whole_window_has_those_coefficients_and_no_others(
    height: int, width: int, window: int
) -> None:
    waves = block_waves(None, 7.0, 32, height, width, "ftrojan").numpy()
    expected = np.zeros((window, window))
    expected[window - 1, window - 1] = expected[window // 2 - 1, window // 2 - 1] = 7
    for row in range(0, height - window + 1, window):
        for column in range(0, width - window + 1, window):
            block = waves[row : row + window, column : column + window]
            np.testing.assert_allclose(fft.dctn(block, norm="ortho"), expected, atol=1e-9)
    assert not waves[height // window * window :].any()
    assert not waves[:, width // window * window :].any()


def test_positions_can_be_named() -> None:
    found = fft.dctn(block_waves(((0, 3), (2, 1)), 5.0, 8, 8, 8, "ftrojan").numpy(), norm="ortho")
    assert {tuple(place) for place in np.argwhere(abs(found) > 1e-9).tolist()} == {(0, 3), (2, 1)}
    with pytest.raises(
        ConfigError, match=r"ftrojan: expected pos_list to be pairs from 0 to 7, got \[\(8, 0\)\]"
    ):
        block_waves(((8, 0),), 5.0, 32, 8, 8, "ftrojan")


def test_chroma_leaves_the_brightness_alone() -> None:
    """Weights of BT.601; the inverse matrices are rounded to three digits."""
    for space in ("YCrCb", "YUV"):
        for chroma in TO_RGB[space][1:]:
            assert abs(np.dot((0.299, 0.587, 0.114), chroma)) < 2e-3
        assert np.dot((0.299, 0.587, 0.114), TO_RGB[space][0]) == pytest.approx(1)


def test_four_channels_are_refused() -> None:
    waves = block_waves(None, 1.0, 8, 8, 8, "ctrl")
    assert in_colours(waves, (1, 2), "YUV", (1, 8, 8)).shape == (1, 8, 8)
    with pytest.raises(NotApplicable, match="1 or 3 channels, these images have 4"):
        in_colours(waves, (1, 2), "YUV", (4, 8, 8))
