"""BadNets: where the patch sits, what it leaves alone, and pictures as patches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchbd.data.images import ImageSet
from benchbd.engine.recipe import Recipe
from benchbd.errors import ConfigError, NotApplicable
from benchbd_zoo.attack.badnet import BadNet

SQUARES = {
    ("bottom_right", 0): (slice(13, 16), slice(13, 16)),
    ("bottom_left", 0): (slice(13, 16), slice(0, 3)),
    ("top_right", 0): (slice(0, 3), slice(13, 16)),
    ("top_left", 0): (slice(0, 3), slice(0, 3)),
    ("bottom_right", 2): (slice(11, 14), slice(11, 14)),
    ("bottom_left", 2): (slice(11, 14), slice(2, 5)),
    ("top_right", 2): (slice(2, 5), slice(11, 14)),
    ("top_left", 2): (slice(2, 5), slice(2, 5)),
}
"""Where a square of 3 pixels lies in images of 16x16, counted by hand."""


def stamped(images: ImageSet, **parameters: Any) -> np.ndarray[Any, Any]:
    attack, rng = BadNet(**parameters), torch.Generator()
    attack = attack.with_trigger(attack.prepare(images, lambda: torch.nn.Identity(), Recipe(), rng))
    return attack.apply(attack.stamp, images.images, images.labels, torch.Generator()).numpy()


def save_patch(folder: Path, pixels: list[list[tuple[int, int, int, int]]]) -> Path:
    path = folder / "patch.png"
    Image.fromarray(np.array(pixels, dtype=np.uint8)).save(path)
    return path


@pytest.mark.parametrize(("corner", "margin"), SQUARES)
def test_the_square_sits_in_its_corner_and_nothing_else_changes(
    images: ImageSet, corner: str, margin: int
) -> None:
    expected = images.images.numpy().copy()
    rows, columns = SQUARES[corner, margin]
    for channel, level in enumerate((250, 120, 7)):
        expected[:, channel, rows, columns] = level
    np.testing.assert_array_equal(
        stamped(images, corner=corner, margin=margin, colour=(250, 120, 7)), expected
    )


@pytest.mark.parametrize(("colour", "level"), [((10, 20, 60), 30), ((1, 0, 0), 0), ((2, 0, 0), 1)])
def test_grey_images_take_the_rounded_mean_of_the_colour(
    images: ImageSet, colour: tuple[int, int, int], level: int
) -> None:
    grey = ImageSet(images.images[:, :1], images.labels, images.class_names)
    expected = grey.images.numpy().copy()
    expected[:, :, 13:, 13:] = level
    np.testing.assert_array_equal(stamped(grey, colour=colour), expected)


def test_a_picture_covers_by_its_opacity(images: ImageSet, tmp_path: Path) -> None:
    patch = np.array(
        [
            [(9, 8, 7, 0), (200, 100, 50, 255)],
            [(40, 50, 60, 51), (255, 0, 128, 77)],
            [(1, 2, 3, 254), (0, 0, 0, 1)],
        ]
    )
    path = save_patch(tmp_path, patch.tolist())
    expected = images.images.numpy().copy()
    opacity, picture = patch[..., 3] / 255, patch[..., :3].transpose(2, 0, 1)
    expected[:, :, 1:4, 13:15] = np.rint(
        (1 - opacity) * expected[:, :, 1:4, 13:15] + opacity * picture
    )
    np.testing.assert_array_equal(
        stamped(images, image=path, corner="top_right", margin=1), expected
    )


def test_a_picture_covers_grey_images_too(images: ImageSet, tmp_path: Path) -> None:
    path = save_patch(tmp_path, [[(90, 90, 90, 255), (7, 7, 7, 0)]])
    grey = ImageSet(images.images[:, :1], images.labels, images.class_names)
    expected = grey.images.numpy().copy()
    expected[:, :, 15, 14] = 90
    np.testing.assert_array_equal(stamped(grey, image=path), expected)


def test_a_patch_may_fill_the_image_but_not_exceed_it(images: ImageSet) -> None:
    assert (stamped(images, size=16) == 255).all()
    assert (stamped(images, size=14, margin=2)[:, :, :14, :14] == 255).all()
    with pytest.raises(
        NotApplicable, match="patch of 14x14 pixels and a margin of 3 do not fit images of 16x16"
    ):
        stamped(images, size=14, margin=3)


@pytest.mark.parametrize("content", [None, b"no picture", b"\x89PNG\r\n\x1a\n broken"])
def test_a_file_that_is_no_picture_is_named(
    images: ImageSet, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "patch.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        ConfigError, match=r"badnet: image: cannot read .*patch\.png: .*; replace it"
    ):
        stamped(images, image=path)


def test_the_given_images_stay_as_they_were(images: ImageSet) -> None:
    before = images.images.clone()
    stamped(images)
    assert torch.equal(images.images, before)


def test_all_to_all_gives_every_class_the_next(images: ImageSet, rng: torch.Generator) -> None:
    attack = BadNet(label_mode="all_to_all", poison_ratio=0.5)
    poisoned = attack.poison(images, rng)
    assert len(poisoned.indices) == 30
    np.testing.assert_array_equal(
        poisoned.labels, np.array([1, 2, 0])[poisoned.indices.numpy() % 3]
    )
    triggered = attack.triggered(images, rng)
    assert len(triggered) == 60
    np.testing.assert_array_equal(triggered.attacked_labels, np.array([1, 2, 0])[np.arange(60) % 3])


def test_all_to_one_leaves_the_target_class_alone(images: ImageSet, rng: torch.Generator) -> None:
    attack = BadNet(target=2)
    poisoned = attack.poison(images, rng)
    assert not (poisoned.indices % 3 == 2).any()
    assert poisoned.labels.tolist() == [2] * 6
    np.testing.assert_array_equal(poisoned.images, stamped(images)[poisoned.indices])
    assert attack.triggered(images, rng).indices.tolist() == [
        place for place in range(60) if place % 3 != 2
    ]


@pytest.mark.parametrize(
    ("target", "more", "expected"),
    [
        (0, (1,), [1, 0, 0]),
        (0, (1, 2), [1, 2, 0]),
        (2, (0,), [2, 0, 0]),
    ],
)
def test_several_targets_are_dealt_out_among_the_classes(
    images: ImageSet, rng: torch.Generator, target: int, more: tuple[int, ...], expected: list[int]
) -> None:
    attack = BadNet(target=target, more_targets=more)
    triggered = attack.triggered(images, rng)
    assert len(triggered) == 60
    np.testing.assert_array_equal(triggered.attacked_labels, np.array(expected)[np.arange(60) % 3])
    poisoned = attack.poison(images, rng)
    np.testing.assert_array_equal(poisoned.labels, np.array(expected)[poisoned.indices.numpy() % 3])


def test_each_target_has_a_corner_of_its_own(images: ImageSet) -> None:
    expected = images.images.numpy().copy()
    corner = {
        0: (slice(0, 3), slice(0, 3)),
        1: (slice(13, 16), slice(13, 16)),
        2: (slice(13, 16), slice(0, 3)),
    }
    for place, attacked in enumerate(np.array([1, 2, 0])[np.arange(60) % 3]):
        expected[(place, slice(None), *corner[attacked])] = 255
    np.testing.assert_array_equal(
        stamped(images, corner="top_left", target=0, more_targets=(1, 2)), expected
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"more_targets": (0,)}, r"different classes from 0 to 2, got \[0, 0\]"),
        ({"more_targets": (1, 3)}, r"different classes from 0 to 2, got \[0, 1, 3\]"),
        (
            {"more_targets": (1,), "label_mode": "all_to_all"},
            "all_to_all attacks every class already",
        ),
    ],
)
def test_targets_that_make_no_sense_are_refused(
    images: ImageSet, rng: torch.Generator, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        BadNet(**parameters).poison(images, rng)


def test_there_are_as_many_targets_as_corners_at_most() -> None:
    with pytest.raises(ConfigError, match="badnet: expected more_targets"):
        BadNet(more_targets=(1, 2, 3, 4))


def test_as_the_reference_puts_its_patch(counted: Any) -> None:
    """`AddMaskPatchTrigger` of SCLBD/BackdoorBench at f02e353 (utils/bd_img_transform/patch.py)
    with its resource/badnet/trigger_image.png: the lower right corner of green; no other pixel
    changes.
    """
    images = counted(1, 3, 32, 32)
    found = BadNet().stamp(images, torch.zeros(1, dtype=torch.int64), torch.Generator())
    assert found[0, 1, 27:, 27:].tolist() == [
        [199, 236, 17, 54, 91],
        [103, 140, 177, 214, 251],
        [7, 44, 255, 255, 255],
        [167, 204, 255, 255, 255],
        [71, 108, 255, 255, 255],
    ]
    assert torch.equal(found[..., :29, :], images[..., :29, :])
    assert torch.equal(found[..., :29], images[..., :29])
