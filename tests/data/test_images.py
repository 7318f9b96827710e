"""Sets of labelled images."""

from __future__ import annotations

import numpy
import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.errors import DataError

NAMES = ("ant", "bee")
PIXELS = torch.zeros(2, 1, 4, 5, dtype=torch.uint8)
LABELS = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (PIXELS.float(), LABELS, "expected images as uint8 .N, C, H, W., got torch.float32"),
        (PIXELS[0], LABELS, r"got torch.uint8 \(1, 4, 5\)"),
        (PIXELS, LABELS.int(), "expected labels as int64"),
        (PIXELS, LABELS[:1], r"expected labels as int64 \(2,\)"),
        (PIXELS, LABELS[:, None], "expected labels as int64"),
        (PIXELS, torch.tensor([0, 2]), "expected labels from 0 to 1, got 0 to 2"),
        (PIXELS, torch.tensor([-1, 0]), "expected labels from 0 to 1, got -1 to 0"),
    ],
)
def test_what_does_not_fit_is_refused(
    pixels: torch.Tensor, labels: torch.Tensor, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        ImageSet(pixels, labels, NAMES)


def test_shape_and_length() -> None:
    images = ImageSet(PIXELS, LABELS, NAMES)
    assert (len(images), images.num_classes, images.image_shape) == (2, 2, (1, 4, 5))
    assert len(ImageSet(PIXELS[:0], LABELS[:0], NAMES)) == 0


def test_a_subset_is_a_copy_in_the_order_asked_for(images: ImageSet) -> None:
    part = images.subset(torch.tensor([5, 2]))
    assert part.labels.tolist() == [2, 2]
    assert torch.equal(part.images[1], images.images[2])
    before = images.images.clone()
    part.images.zero_()
    assert torch.equal(images.images, before)


def test_statistics_against_numpy(images: ImageSet) -> None:
    mean, deviation = images.statistics()
    pixels = images.images.numpy().astype(numpy.float64) / 255
    assert mean == pytest.approx(pixels.mean((0, 2, 3)), abs=1e-6)
    assert deviation == pytest.approx(pixels.std((0, 2, 3)), abs=1e-6)


def test_a_constant_channel_does_not_divide_by_zero() -> None:
    assert ImageSet(PIXELS, LABELS, NAMES).statistics() == ((0.0,), (round(1 / 255, 6),))


def test_fingerprints_tell_sets_apart(images: ImageSet) -> None:
    other = images.images.clone()
    other[0, 0, 0, 0] ^= 1
    variants = [
        images,
        ImageSet(other, images.labels, images.class_names),
        ImageSet(images.images, images.labels.flip(0), images.class_names),
        ImageSet(images.images, images.labels, ("a", "bee", "cat")),
        ImageSet(images.images.reshape(60, 3, 8, 32), images.labels, images.class_names),
    ]
    assert len({variant.fingerprint() for variant in variants}) == len(variants)


def test_a_fingerprint_does_not_depend_on_memory_layout(images: ImageSet) -> None:
    channels_last = images.images.contiguous(memory_format=torch.channels_last)
    assert (
        ImageSet(channels_last, images.labels, images.class_names).fingerprint()
        == images.fingerprint()
    )
