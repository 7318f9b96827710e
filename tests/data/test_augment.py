"""Random crops and flips, held against slow NumPy."""

from __future__ import annotations

from collections import Counter

import numpy
import pytest
import torch

from benchbd.data.augment import Batches
from benchbd.errors import ConfigError


def noise(count: int, channels: int, height: int = 5, width: int = 7) -> torch.Tensor:
    return torch.randint(
        1,
        256,
        (count, channels, height, width),
        generator=torch.Generator().manual_seed(1),
        dtype=torch.uint8,
    )


def crop(image: numpy.ndarray, shift: int, top: int, left: int, mirrored: bool) -> numpy.ndarray:
    """One pixel after another: `image` (C, H, W) with a zero border, cut at (top, left), mirrored
    after that.
    """
    channels, height, width = image.shape
    result = numpy.zeros_like(image)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                row, column = y + top - shift, (width - 1 - x if mirrored else x) + left - shift
                if 0 <= row < height and 0 <= column < width:
                    result[c, y, x] = image[c, row, column]
    return result


def views(image: torch.Tensor, shift: int, flip: bool) -> dict[bytes, tuple[int, int, bool]]:
    """All pictures that a crop of `image` can be, and what makes each."""
    span = range(2 * shift + 1)
    drawn = [(top, left, mirrored) for top in span for left in span for mirrored in {False, flip}]
    return {crop(image.numpy(), shift, *how).tobytes(): how for how in drawn}


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("shift", "flip"), [(0, True), (2, False), (1, True)])
def test_every_batch_image_is_one_of_the_possible_crops(
    channels: int, shift: int, flip: bool
) -> None:
    images, labels = noise(6, channels), torch.arange(6)
    possible = [views(image, shift, flip) for image in images]
    assert len(possible[0]) == (2 * shift + 1) ** 2 * (1 + flip)
    order = torch.tensor([4, 0, 3, 3, 5, 1, 2] * 20)
    taken, given = Batches(images, labels, shift=shift, flip=flip).take(
        order, torch.Generator().manual_seed(2)
    )
    assert (taken.dtype, taken.shape) == (torch.uint8, (140, channels, 5, 7))
    assert torch.equal(given, order)
    how = [
        possible[place].get(image.contiguous().numpy().tobytes())
        for place, image in zip(order.tolist(), taken, strict=True)
    ]
    assert None not in how
    assert len(set(how)) == len(possible[0])


def test_offsets_and_mirrors_are_drawn_evenly_and_apart_from_each_other() -> None:
    image = noise(1, 1)
    possible, drawn = views(image[0], 1, True), 18 * 400
    taken, _ = Batches(image, torch.zeros(1, dtype=torch.int64), shift=1, flip=True).take(
        torch.zeros(drawn, dtype=torch.int64), torch.Generator().manual_seed(3)
    )
    counts = Counter(possible[picture.contiguous().numpy().tobytes()] for picture in taken)
    chi_squared = sum((counts[how] - 400) ** 2 / 400 for how in possible.values())
    assert chi_squared < 40.8  # the 0.1 % point at 17 degrees of freedom


@pytest.mark.parametrize("shift", [1, 4])
def test_a_border_that_mirrors_the_image_is_that_of_numpy(shift: int) -> None:
    image = noise(1, 3)
    around = ((0, 0), (shift, shift), (shift, shift))
    bordered = numpy.pad(image[0].numpy(), around, mode="reflect")
    span = range(2 * shift + 1)
    possible = {bordered[:, y : y + 5, x : x + 7].tobytes() for y in span for x in span}
    batches = Batches(image, torch.zeros(1, dtype=torch.int64), shift=shift, reflect=True)
    taken, _ = batches.take(torch.zeros(2000, dtype=torch.int64), torch.Generator().manual_seed(4))
    assert {picture.contiguous().numpy().tobytes() for picture in taken} == possible


def test_an_image_too_small_to_be_mirrored_that_far() -> None:
    with pytest.raises(ConfigError, match="border of 5 pixels needs larger images than"):
        Batches(noise(1, 3), torch.zeros(1, dtype=torch.int64), shift=5, reflect=True)


def test_no_augmentation_hands_out_the_images_as_they_are() -> None:
    images = noise(6, 5)
    taken, labels = Batches(images, torch.arange(6)).take(
        torch.tensor([2, 2, 0]), torch.Generator()
    )
    assert torch.equal(taken, images[[2, 2, 0]])
    taken.zero_()
    assert labels.tolist() == [2, 2, 0]
    assert int(images.min()) > 0


def test_the_same_generator_draws_the_same_crops() -> None:
    batches = Batches(noise(6, 3), torch.arange(6), shift=2, flip=True)
    first, second, third = (
        batches.take(torch.arange(6), torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_five_channels_cannot_be_cropped() -> None:
    with pytest.raises(ValueError, match="at most 4 channels, got 5"):
        Batches(noise(2, 5), torch.arange(2), shift=1)
