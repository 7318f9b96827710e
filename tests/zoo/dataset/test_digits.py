from __future__ import annotations

from collections import Counter

import numpy
import pytest
from sklearn.datasets import load_digits

from benchbd.api import ConfigError
from benchbd_zoo.dataset.digits import Digits

TEST_COUNTS = [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
"""One fifth of 178, 182, 177, 183, 181, 182, 181, 179, 174 and 180 images, rounded by hand."""


@pytest.fixture(scope="module")
def small():
    """Both splits at the size of the originals."""
    return Digits(size=8).load("train"), Digits(size=8).load("test")


def test_a_fifth_of_every_class_is_the_test_split(small):
    train, test = small
    totals = numpy.bincount(load_digits().target)
    assert totals.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert test.labels.bincount().tolist() == TEST_COUNTS
    assert train.labels.bincount().tolist() == (totals - TEST_COUNTS).tolist()
    assert (len(train), len(test)) == (1438, 359)


def test_every_image_is_in_exactly_one_split(small):
    digits = load_digits()
    levels = numpy.floor(digits.images * 255 / 16 + 0.5).astype(numpy.uint8)
    originals = Counter(
        (int(label), image.tobytes()) for label, image in zip(digits.target, levels, strict=True)
    )
    loaded = Counter(
        (int(label), image.numpy().tobytes())
        for half in small
        for label, image in zip(half.labels, half.images.contiguous(), strict=True)
    )
    assert loaded == originals


@pytest.mark.parametrize("size", [8, 16, 20])
def test_sizes_and_names(size):
    test = Digits(size=size).load("test")
    assert test.image_shape == (1, size, size)
    assert test.class_names == tuple("0123456789")


@pytest.mark.parametrize("size", [16, 20])
def test_upscaling_is_bilinear_between_pixel_centres(small, size):
    """Output pixel i takes from place (i + 1/2) * 8 / size - 1/2 of the original, held inside its
    edges.
    """
    originals = numpy.round(small[1].images[:, 0].numpy() / 15.9375) * 15.9375
    places = numpy.clip((numpy.arange(size) + 0.5) * 8 / size - 0.5, 0, 7)
    weights = numpy.maximum(0, 1 - numpy.abs(places[:, None] - numpy.arange(8)))
    expected = weights @ originals @ weights.T
    upscaled = Digits(size=size).load("test").images[:, 0].numpy()
    assert numpy.abs(upscaled - expected).max() <= 0.5 + 1e-4


def test_it_is_the_same_every_time():
    assert Digits().load("test").fingerprint() == Digits().load("test").fingerprint()


def test_smaller_than_the_originals_is_refused():
    with pytest.raises(ConfigError, match="digits: expected size"):
        Digits(size=7)
