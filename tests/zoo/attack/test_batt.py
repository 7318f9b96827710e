"""BATT: turns and moves of whole images, and that cover images are turned a little."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd_zoo.attack.batt import BATT, rotated, translated


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 8, 8), (3, 14, 20)])
@pytest.mark.parametrize("degrees", [16.0, -9.7, 3.0, 90.0, 180.0])
def test_a_turn_is_that_of_pillow(
    images_of: Any, shape: tuple[int, int, int], degrees: float
) -> None:
    """The authors (THUYimingLi/BATT at 3d6b753, attack/batt_r.py) turn with PIL.Image.rotate, which
    takes the nearest pixel, and black from outside.
    """
    images = images_of(*shape, count=4).images
    turned = rotated(images, torch.tensor([degrees], dtype=torch.float64)).numpy()
    planes = [[Image.fromarray(plane) for plane in image] for image in images.numpy()]
    expected = [[np.asarray(plane.rotate(degrees)) for plane in image] for image in planes]
    np.testing.assert_array_equal(turned, expected)


def test_no_turn_and_four_quarters_change_nothing(images_of: Any) -> None:
    images = images_of(3, 16, 16).images
    assert torch.equal(rotated(images, torch.zeros(1, dtype=torch.float64)), images)
    turned = images
    for _ in range(4):
        turned = rotated(turned, torch.tensor([90.0], dtype=torch.float64))
    assert torch.equal(turned, images)


@pytest.mark.parametrize(("share", "pixels"), [(0.2, 3), (-0.1, -2), (0.02, 0), (1.0, 16)])
def test_a_move_goes_to_the_right_in_whole_pixels(
    images_of: Any, share: float, pixels: int
) -> None:
    images = images_of(3, 12, 16).images
    moved = translated(images, torch.tensor([share], dtype=torch.float64)).numpy()
    expected = np.roll(images.numpy(), pixels, axis=3)
    expected[..., slice(0, pixels) if pixels >= 0 else slice(pixels, None)] = 0
    np.testing.assert_array_equal(moved, expected)


def test_cover_images_are_turned_less_each_by_its_own_angle(
    monkeypatch: pytest.MonkeyPatch, images: ImageSet, rng: torch.Generator
) -> None:
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(
        BATT, "_moved", lambda self, images, amount: (seen.append(amount), images)[1]
    )
    attack = BATT(target=1, poison_ratio=0.1, cover_ratio=0.5, angle=16, benign_angle=10)
    poisoned = attack.poison(images, rng)
    assert seen[0].tolist() == [16]
    assert len(seen[1].unique()) == len(seen[1]) == poisoned.count(State.COVER) == 30
    assert (seen[1].min() < -5, seen[1].max() > 5, seen[1].abs().max() <= 10) == (True, True, True)
    cover = poisoned.states == State.COVER
    assert torch.equal(poisoned.labels[cover], images.labels[poisoned.indices[cover]])
    assert set(poisoned.labels[~cover].tolist()) == {1}


def test_translation_is_another_motion(images: ImageSet, rng: torch.Generator) -> None:
    attack = BATT(motion="translation", distance=0.25)
    stamped = attack.apply(attack.stamp, images.images, images.labels, rng)
    assert torch.equal(stamped[..., 4:], images.images[..., :-4])
    assert not stamped[..., :4].any()
