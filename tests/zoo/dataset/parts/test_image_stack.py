from __future__ import annotations

from io import BytesIO

import numpy
import pytest
import torch
from PIL import Image

from benchbd.api import DataError, DataNote
from benchbd_zoo.dataset.parts.image_stack import ImageStack


def _stacked(pictures, **options):
    stack = ImageStack("mine", len(pictures), **options)
    stack.fill(range(len(pictures)), lambda k: _file(pictures[k]), lambda k: f"number {k}")
    return stack.images


def _file(picture):
    """The bytes of a PNG file."""
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("side", [12, 100])
def test_places_hold_across_chunks_and_threads(side, two_threads):
    pictures = [Image.new("RGB", (side, side), (k, 255 - k, 5)) for k in range(150)]
    images = _stacked(pictures)
    assert images.shape == (150, 3, side, side)
    assert images[:, 0].flatten(1).float().mean(1).tolist() == list(range(150))
    assert images[:, 1].flatten(1).float().mean(1).tolist() == list(range(255, 105, -1))


def test_fills_add_up():
    stack = ImageStack("mine", 4)
    for places, level in (([3, 0], 10), ([1, 2], 20)):
        pictures = [_file(Image.new("RGB", (8, 8), (level + k, 0, 0))) for k in range(2)]
        stack.fill(places, pictures.__getitem__, str)
    assert stack.images[:, 0, 0, 0].tolist() == [11, 20, 21, 10]


def test_rows_are_height():
    pixels = numpy.arange(8 * 10 * 3, dtype=numpy.uint8).reshape(8, 10, 3)
    images = _stacked([Image.fromarray(pixels)])
    assert (images[0].permute(1, 2, 0).numpy() == pixels).all()


def test_halving_weighs_four_pixels_on_either_axis():
    """A triangle of two output pixels' width has the weights 1, 3, 3, 1 (over 8) at
    half the size.
    """
    column = numpy.zeros(32, dtype=numpy.uint8)
    column[15] = 240
    picture = Image.fromarray(numpy.repeat(column[:, None], 32, axis=1))
    halved = _stacked([picture], size=16, grey=True)[0, 0]
    assert halved[6:9, 5].tolist() == [
        0,
        90,
        30,
    ]  # row 15 is the third of the four below row 7, the first of those below row 8


def test_grey_weighs_the_channels_as_in_television():
    images = _stacked(
        [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))],
        grey=True,
    )
    assert images.shape == (3, 1, 8, 8)
    assert images[:, 0, 0, 0].tolist() == [round(255 * weight) for weight in (0.299, 0.587, 0.114)]


def test_grey_pictures_become_colour():
    assert _stacked([Image.new("L", (8, 8), 9)])[0, :, 0, 0].tolist() == [9, 9, 9]


def test_the_first_picture_of_another_size_is_named():
    pictures = [Image.new("RGB", (10, 8))] * 70 + [
        Image.new("RGB", (10, 9)),
        Image.new("RGB", (1, 1)),
    ]
    with pytest.raises(
        DataError, match=r"mine: expected .* 8x10 pixels .*, but number 70 has 9x10; set size"
    ):
        _stacked(pictures)


def test_sixteen_bits_become_eight_by_scaling():
    images = _stacked([Image.new("I;16", (8, 8), 257 * level) for level in (0, 100, 255)])
    assert images[:, 1, 0, 0].tolist() == [0, 100, 255]


def test_bytes_that_are_no_image_are_named():
    stack = ImageStack("mine", 1)
    stack.fill([0], lambda k: b"%!PS", lambda k: "number 0")
    with pytest.raises(DataError, match="mine: cannot read number 0: expected an image"):
        stack.images  # noqa: B018


def _partly_broken(**options):
    """Three fills of two pictures; numbers 0, 1 and 4 are broken."""
    stack = ImageStack("mine", 6, **options)
    for first in (0, 2, 4):
        contents = [
            b"no image" if k in (0, 1, 4) else _file(Image.new("L", (8, 8), k))
            for k in (first, first + 1)
        ]
        stack.fill([first, first + 1], contents.__getitem__, lambda k, at=first: f"number {at + k}")
    return stack


def test_all_broken_images_are_named_at_once():
    with pytest.raises(DataError, match=r"3 images cannot be read:(?s:.*)skip_broken") as refusal:
        _partly_broken().images  # noqa: B018
    assert [f"number {k}" in str(refusal.value) for k in range(6)] == [
        True, True, False, False, True, False
    ]  # fmt: skip


def test_broken_images_are_left_out_and_named():
    stack = _partly_broken(skip_broken=True)
    with pytest.warns(DataNote, match=r"3 broken images are left out: .*number 0.*number 4"):
        assert stack.images[:, 0, 0, 0].tolist() == [2, 3, 5]
    assert stack.kept.tolist() == [False, False, True, True, False, True]


def test_an_empty_stack_is_refused():
    with pytest.raises(DataError, match="mine: found no image"):
        _stacked([])
