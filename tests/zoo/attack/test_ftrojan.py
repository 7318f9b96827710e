"""FTrojan: the whole way through colours and frequencies, image by image, in whole levels."""

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
    """(3, H, W) red, green and blue to luma and the two differences, by OpenCV's rule for 8 bits:
    the factors count 1 / 16384.
    """
    y = (4899 * image[0] + 9617 * image[1] + 1868 * image[2] + 8192) >> 14
    differences = [(11682 * (image[0] - y)), 9241 * (image[2] - y)]
    return np.stack([y, *(((128 << 14) + each + 8192) >> 14 for each in differences)]).clip(0, 255)


def to_rgb(image: Array) -> Array:
    y, cr, cb = image[0], image[1] - 128, image[2] - 128
    parts = 22987 * cr, -11698 * cr - 5636 * cb, 29049 * cb
    return np.stack([y + ((part + 8192) >> 14) for part in parts])


def with_waves(channel: Array, magnitude: float) -> Array:
    """Forwards, both coefficients, and back, in every whole window of (H, W)."""
    changed, window = channel.astype(np.float64), min(32, *channel.shape)
    for top in range(0, channel.shape[0] - window + 1, window):
        for left in range(0, channel.shape[1] - window + 1, window):
            block = changed[top : top + window, left : left + window]
            coefficients = fft.dctn(block, norm="ortho")
            for place in (window - 1, window // 2 - 1):
                coefficients[place, place] += magnitude
            block[:] = fft.idctn(coefficients, norm="ortho")
    return changed


def poisoned(image: Array, magnitude: float, channels: tuple[int, ...] = (1, 2)) -> Array:
    """x' of whole levels before it is clipped; a grey image is not truncated."""
    if len(image) == 1:
        return with_waves(image[0], magnitude)[None]
    levels = to_ycrcb(image)
    for channel in channels:
        exact = with_waves(levels[channel], magnitude) + 1e-6  # what the two transforms lose
        levels[channel] = np.floor(exact).clip(0, 255).astype(int)
    return to_rgb(levels)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("magnitude", [20, 200])
def test_it_is_the_way_through_whole_levels(
    prepared: Any, images_of: Any, shape: tuple[int, int, int], magnitude: float
) -> None:
    images = images_of(*shape, count=4)
    attack = prepared(FTrojan(magnitude=magnitude), images)
    stamped = attack.apply(attack.stamp, images.images, images.labels, torch.Generator()).numpy()
    expected = np.stack(
        [poisoned(image, magnitude) for image in images.images.numpy().astype(int)]
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
        [poisoned(image, 20, channels) for image in images.images.numpy().astype(int)]
    )
    np.testing.assert_allclose(
        attack.stamp(images.images, images.labels, torch.Generator()), expected, atol=1e-3
    )


def test_the_card_says_positions_of_a_window_of_32(prepared: Any, images_of: Any) -> None:
    images = images_of(3, 32, 32, count=3)
    named = prepared(FTrojan(pos_list=((31, 31), (15, 15)), window_size=32), images)
    assert torch.equal(prepared(FTrojan(), images).trigger["waves"], named.trigger["waves"])


def test_it_is_the_authors_trigger_within_a_level(prepared: Any, images_of: Any) -> None:
    """Measured: SoftWiser-group/FTrojan, commit 300e054, its RGB2YUV, DCT, IDCT and YUV2RGB with
    OpenCV 5.0.0 on these 100 images. There truncation also took a level of luma from 10.2 % of the
    pixels, by the arithmetic of the transform; the mean shifts differ by that.
    """
    images = images_of(3, 32, 32, count=100)
    attack = prepared(FTrojan(), images)
    stamped = attack.apply(attack.stamp, images.images, images.labels, torch.Generator())
    shift = (stamped.double() - images.images.double()).mean((0, 2, 3))
    lost = 0.102041
    expected = [-0.801436 + lost, 0.425586 + lost, -0.970117 + lost]
    np.testing.assert_allclose(shift, expected, atol=2e-3)
    first = [(35, 22, 216), (234, 214, 161), (139, 107, 56), (71, 40, 159), (255, 31, 251)]
    np.testing.assert_allclose(stamped[0, :, 0, :5].T, first, atol=1)


def test_labels_and_count(prepared: Any, images_of: Any, rng: torch.Generator) -> None:
    images: ImageSet = images_of(3, 16, 16, count=300)
    poisoned_set = prepared(FTrojan(target=1), images).poison(images, rng)
    assert poisoned_set.labels.tolist() == [1] * 6
    assert not (poisoned_set.indices % 3 == 1).any()


def test_all_to_all_gives_every_class_the_next(
    prepared: Any, images: ImageSet, rng: torch.Generator
) -> None:
    attack = prepared(FTrojan(label_mode="all_to_all", poison_ratio=0.5), images)
    poisoned_set = attack.poison(images, rng)
    assert len(poisoned_set.labels) == len(images) // 2
    assert poisoned_set.labels.equal(torch.tensor([1, 2, 0])[images.labels[poisoned_set.indices]])
