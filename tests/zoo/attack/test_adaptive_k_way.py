"""Adap-K-Way: one pixel in training, four at test time, where they lie, and who gets which."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd.errors import NotApplicable
from benchbd_zoo.attack.adaptive_k_way import AdaptiveKWay

COLOURS = torch.tensor([[92, 0, 24], [88, 112, 110], [0, 32, 46], [11, 49, 95]], dtype=torch.uint8)


def changed(before: torch.Tensor, after: torch.Tensor) -> list[list[tuple[int, int]]]:
    """For each image, the rows and columns of the pixels that differ."""
    differs = (before != after).any(1)
    return [[tuple(place) for place in torch.nonzero(image).tolist()] for image in differs]


def test_test_images_get_four_pixels_and_training_images_one_each_in_turn(
    prepared: Any, images_of: Any, rng: torch.Generator
) -> None:
    images: ImageSet = images_of(3, 32, 32)
    attack = prepared(AdaptiveKWay(), images)
    white = torch.full_like(images.images, 255)
    stamped = attack.apply(attack.stamp, white, images.labels, rng)
    assert set(map(tuple, changed(white, stamped)[0])) == {(16, 11), (27, 5), (7, 30), (22, 22)}
    poisoned = attack.apply(attack.stamp_poison, white, images.labels, rng)
    shown = [place for [place] in changed(white, poisoned)]
    assert [shown.count(place) for place in set(shown)] == [15] * 4


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (8, 8, [(4, 2), (6, 1), (1, 7), (5, 5)]),
        (64, 32, [(32, 11), (54, 5), (14, 30), (44, 22)]),
        (224, 224, [(112, 77), (189, 35), (49, 210), (154, 154)]),
    ],
)
def test_positions_keep_their_part_of_the_image(
    prepared: Any, images_of: Any, height: int, width: int, expected: list[tuple[int, int]]
) -> None:
    attack = prepared(AdaptiveKWay(), images_of(1, height, width, count=4))
    assert attack.trigger["places"].tolist() == [list(place) for place in expected]
    assert attack.trigger["colours"].shape == (4, 1)


def test_images_that_are_too_small_for_four_pixels_are_refused(
    prepared: Any, images_of: Any
) -> None:
    with pytest.raises(NotApplicable, match="four pixels cannot be kept apart"):
        prepared(AdaptiveKWay(), images_of(3, 2, 2))


def test_cover_samples_carry_a_pixel_and_keep_their_label(
    prepared: Any, images: ImageSet, rng: torch.Generator
) -> None:
    attack = prepared(AdaptiveKWay(target=2, poison_ratio=0.1, cover_ratio=0.2), images)
    poisoned = attack.poison(images, rng)
    cover = poisoned.states == State.COVER
    assert (int(cover.sum()), int((~cover).sum())) == (12, 6)
    assert poisoned.labels[~cover].unique().tolist() == [2]
    assert torch.equal(poisoned.labels[cover], images.labels[poisoned.indices[cover]])
    pixels = changed(images.images[poisoned.indices], poisoned.images)
    assert max(map(len, pixels)) == 1


def test_as_the_reference_stamps_a_test_image(counted: Any, rng: torch.Generator) -> None:
    """`poison_transform.transform` of vtu81/backdoor-toolbox at 9d4d909
    (poison_tool_box/adaptive_k_way.py) on an image of 32x32, with its colours: the sum of each
    channel.
    """
    images = counted(1, 3, 32, 32)
    places = torch.tensor([[16, 11], [27, 5], [7, 30], [22, 22]])
    attack = AdaptiveKWay().with_trigger({"places": places, "colours": COLOURS})
    stamped = attack.apply(attack.stamp, images, torch.zeros(1, dtype=torch.int64), rng)
    np.testing.assert_array_equal(stamped.sum((0, 2, 3)), [130027, 130029, 130111])
