"""FTrojan: the whole way through colours and frequencies, image by image, and one rounding at its
end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import fft

from benchbd.data.images import ImageSet
from benchbd_zoo.attack.ftrojan import FTrojan

Array = np.ndarray[Any, Any]
SHAPES = [(3, 16, 16), (3, 8, 8), (3, 32, 32), (3, 64, 40), (3, 224, 224), (1, 8, 8), (1, 28, 28)]


def to_ycrcb(image: Array) -> Array:
    """(3, H, W) red, green, blue to luma and the two differences, without the offset that makes
    them positive.
    """
    y = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
    return np.stack([y, 0.713 * (image[0] - y), 0.564 * (image[2] - y)])


def to_rgb(image: Array) -> Array:
    y, cr, cb = image
    return np.stack([y + 1.403 * cr, y - 0.714 * cr - 0.344 * cb, y + 1.773 * cb])


def poisoned(image: Array, magnitude: float, channels: tuple[int, ...] = (1, 2)) -> Array:
    """x' before it is clipped. The change is taken, for the two matrices are not exactly each
    other's inverse.
    """
    original = to_ycrcb(image) if len(image) == 3 else image
    changed = original.copy()
    window = min(32, *image.shape[1:])
    for channel in channels if len(image) == 3 else (0,):
        for top in range(0, image.shape[1] - window + 1, window):
            for left in range(0, image.shape[2] - window + 1, window):
                block = changed[channel, top : top + window, left : left + window]
                coefficients = fft.dctn(block, norm="ortho")
                for place in (window - 1, window // 2 - 1):
                    coefficients[place, place] += magnitude
                block[:] = fft.idctn(coefficients, norm="ortho")
    return image + to_rgb(changed - original) if len(image) == 3 else changed


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("magnitude", [20, 200])
def test_it_is_the_way_of_the_paper_rounded_once(
    prepared: Any, images_of: Any, shape: tuple[int, int, int], magnitude: float
) -> None:
    images = images_of(*shape, count=4)
    attack = prepared(FTrojan(magnitude=magnitude), images)
    stamped = attack.apply(attack.stamp, images.images, images.labels, torch.Generator()).numpy()
    expected = np.stack(
        [poisoned(image, magnitude) for image in images.images.numpy().astype(np.float64)]
    ).clip(0, 255)
    clear = abs(expected % 1 - 0.5) > 1e-3
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(stamped[clear], np.rint(expected)[clear])


@pytest.mark.parametrize("channels", [(0,), (1,), (2,), (0, 1, 2)])
def test_other_channels_can_be_chosen(
    prepared: Any, images_of: Any, channels: tuple[int, ...]
) -> None:
    images = images_of(3, 32, 32, count=3)
    attack = prepared(FTrojan(channel_list=channels), images)
    expected = np.stack(
        [poisoned(image, 20, channels) for image in images.images.numpy().astype(np.float64)]
    )
    np.testing.assert_allclose(
        attack.stamp(images.images, images.labels, torch.Generator()), expected, atol=1e-3
    )


def test_the_card_says_positions_of_a_window_of_32(prepared: Any, images_of: Any) -> None:
    images = images_of(3, 32, 32, count=3)
    named = prepared(FTrojan(pos_list=((31, 31), (15, 15)), window_size=32), images)
    assert torch.equal(prepared(FTrojan(), images).trigger["pattern"], named.trigger["pattern"])


def test_errata_two_roundings_would_give_other_bytes(prepared: Any, images_of: Any) -> None:
    """Whole levels between the colour spaces, as in the authors' code, lose part of a trigger of
    two levels.
    """
    images = images_of(3, 32, 32, count=4)
    attack = prepared(FTrojan(), images)
    stamped = (
        attack.apply(attack.stamp, images.images, images.labels, torch.Generator())
        .numpy()
        .astype(np.float64)
    )
    pattern = attack.trigger["pattern"].numpy()
    error, inside = stamped - images.images.numpy() - pattern, (stamped > 0) & (stamped < 255)
    assert abs(error[inside]).max() <= 0.5001
    twice = np.stack(
        [to_rgb(np.rint(to_ycrcb(image))) for image in images.images.numpy().astype(np.float64)]
    )
    assert abs(np.rint(twice + pattern) - images.images.numpy() - pattern)[inside].max() > 1


def test_labels_and_count(prepared: Any, images_of: Any, rng: torch.Generator) -> None:
    images: ImageSet = images_of(3, 16, 16, count=300)
    poisoned_set = prepared(FTrojan(target=1), images).poison(images, rng)
    assert poisoned_set.labels.tolist() == [1] * 6
    assert not (poisoned_set.indices % 3 == 1).any()
