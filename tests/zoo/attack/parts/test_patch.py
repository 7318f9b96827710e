"""Patches of attacks: what fills them, and that pixels are drawn once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchbd.data.images import ImageSet
from benchbd.errors import DataNote
from benchbd_zoo.attack.badnet import BadNet
from benchbd_zoo.attack.parts.patch import checkerboard


def corner_of(attack: BadNet, images: ImageSet, size: int) -> np.ndarray[Any, Any]:
    stamped = attack.apply(attack.stamp, images.images, images.labels, torch.Generator()).numpy()
    assert (stamped[:, :, :-size] == images.images.numpy()[:, :, :-size]).all()
    return stamped[:, :, -size:, -size:]


@pytest.mark.parametrize(
    ("size", "fields"),
    [
        (1, [[1]]),
        (2, [[1, 0], [0, 1]]),
        (3, [[1, 0, 1], [0, 1, 0], [1, 0, 1]]),
        (4, [[1, 0] * 2, [0, 1] * 2] * 2),
    ],
)
def test_a_checkerboard_has_one_colour_and_black(
    prepared: Any, images: ImageSet, size: int, fields: list[list[int]]
) -> None:
    assert checkerboard(size).tolist() == fields
    attack = prepared(BadNet(pattern="checkerboard", size=size, colour=(250, 120, 7)), images)
    for channel, level in enumerate((250, 120, 7)):
        expected = np.broadcast_to(level * np.array(fields), (60, size, size))
        np.testing.assert_array_equal(corner_of(attack, images, size)[:, channel], expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_random_pixels_are_drawn_once_from_the_seed(
    prepared: Any, images_of: Any, channels: int
) -> None:
    images = images_of(channels, 32, 32)
    first, again, other = (
        prepared(BadNet(pattern="random", size=12), images, seed) for seed in (0, 0, 1)
    )
    patch = first.trigger["patch"]
    assert patch.shape == (channels, 12, 12)
    assert torch.equal(patch, again.trigger["patch"])
    assert (patch != other.trigger["patch"]).float().mean() > 0.9
    np.testing.assert_array_equal(corner_of(first, images, 12), patch.expand(60, -1, -1, -1))


def test_a_picture_is_stored_and_outlives_its_file(
    prepared: Any, images: ImageSet, tmp_path: Path
) -> None:
    path = tmp_path / "sticker.png"
    Image.new("RGBA", (3, 2), (10, 20, 30, 255)).save(path)
    attack = prepared(BadNet(image=path), images)
    before = attack.apply(attack.stamp, images.images, images.labels, torch.Generator())
    path.unlink()
    again = BadNet(image=path).with_trigger(attack.trigger)
    assert torch.equal(
        again.apply(again.stamp, images.images, images.labels, torch.Generator()), before
    )
    assert before[0, :, -1, -1].tolist() == [10, 20, 30]


def test_formula_patches_store_nothing(prepared: Any, images: ImageSet) -> None:
    assert prepared(BadNet(), images).trigger == {}
    assert prepared(BadNet(pattern="checkerboard"), images).trigger == {}


def mark(mode: str, side: int, background: int, square: int = 3) -> Image.Image:
    """A white square in the lower right corner."""
    picture = Image.new(mode, (side, side), background)
    picture.paste(Image.new(mode, (square, square), "white"), (side - square, side - square))
    return picture


def saved(picture: Image.Image, tmp_path: Path) -> BadNet:
    picture.save(tmp_path / "mark.png")
    return BadNet(image=tmp_path / "mark.png")


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_of_a_mark_on_black_only_the_mark_is_put_on(
    prepared: Any, images: ImageSet, tmp_path: Path, mode: str
) -> None:
    side = images.image_shape[1]
    with pytest.warns(DataNote, match=r"badnet: the picture .* is a mark on black"):
        attack = prepared(saved(mark(mode, side, 0), tmp_path), images)
    stamped = attack.apply(attack.stamp, images.images, images.labels, torch.Generator())
    expected = images.images.clone()
    expected[:, :, -3:, -3:] = 255
    assert torch.equal(stamped, expected)


def test_a_picture_that_hides_the_image_is_said_to_do_so(
    prepared: Any, images: ImageSet, tmp_path: Path
) -> None:
    grey = Image.new("RGB", images.image_shape[1:], (90, 90, 90))
    with pytest.warns(DataNote, match="leaves nothing of the images"):
        attack = prepared(saved(grey, tmp_path), images)
    assert attack.trigger["mask"].min() == 1


def test_a_mark_for_larger_images_is_scaled(
    prepared: Any, images: ImageSet, tmp_path: Path
) -> None:
    side = images.image_shape[1]
    with pytest.warns(DataNote, match="is a mark on black"):
        attack = prepared(saved(mark("RGB", 4 * side, 0, 16), tmp_path), images)
    mask = attack.trigger["mask"]
    assert mask.shape == (side, side)
    assert mask[-3:, -3:].min() == 1 and mask[:-6].max() == 0


def test_a_small_black_picture_is_a_patch_as_it_is(
    prepared: Any, images: ImageSet, tmp_path: Path
) -> None:
    attack = prepared(saved(Image.new("RGB", (4, 4)), tmp_path), images)
    assert attack.trigger["mask"].tolist() == [[1.0] * 4] * 4
