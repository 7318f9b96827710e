"""CTRL: two frequencies in U and V on target-class images that keep
their label.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import fft

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd.errors import ConfigError
from benchbd_zoo.attack.ctrl import CTRL

Array = np.ndarray[Any, Any]
SHAPES = [(3, 16, 16), (3, 8, 8), (3, 32, 32), (3, 64, 40), (3, 224, 224), (1, 8, 8), (1, 28, 28)]


def change(shape: tuple[int, int, int], magnitude: float) -> Array:
    """What an image gains: the inverse transform of two coefficients per window, in U and in V,
    turned into colours.
    """
    channels, height, width = shape
    window = min(32, height, width)
    coefficients = np.zeros((window, window))
    coefficients[window - 1, window - 1] = coefficients[window // 2 - 1, window // 2 - 1] = (
        magnitude
    )
    block, plane = fft.idctn(coefficients, norm="ortho"), np.zeros((height, width))
    for top in range(0, height - window + 1, window):
        for left in range(0, width - window + 1, window):
            plane[top : top + window, left : left + window] = block
    u = v = plane
    return plane[None] if channels == 1 else np.stack([1.14 * v, -0.396 * u - 0.581 * v, 2.029 * u])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("verb", "magnitude"), [("stamp", 100), ("stamp_poison", 50)])
def test_the_formula_in_training_and_at_test_time(
    prepared: Any, images_of: Any, shape: tuple[int, int, int], verb: str, magnitude: float
) -> None:
    images = images_of(*shape, count=4)
    attack = prepared(CTRL(magnitude_train=50), images)
    stamped = attack.apply(
        getattr(attack, verb), images.images, images.labels, torch.Generator()
    ).numpy()
    expected = (images.images.numpy() + change(shape, magnitude)).clip(0, 255)
    clear = abs(expected % 1 - 0.5) > 1e-3
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(stamped[clear], np.rint(expected)[clear])


def test_one_magnitude_serves_training_and_test() -> None:
    """The single `--magnitude` of main_train.py of meet-cjli/CTRL is 100 unless given."""
    assert (CTRL().magnitude_train, CTRL().magnitude_val) == (100, 100)


def test_a_share_of_the_data_set_is_poisoned_within_the_target_class(
    prepared: Any, images: ImageSet, rng: torch.Generator
) -> None:
    poisoned = prepared(CTRL(target=2, poison_ratio=0.1), images).poison(images, rng)
    assert poisoned.count(State.POISONED) == 6
    assert (poisoned.indices % 3 == 2).all()
    assert torch.equal(poisoned.as_seen().labels, images.labels)


def test_of_cifar10_it_is_a_tenth_of_a_class() -> None:
    places, cover = CTRL(target=4).choose(
        torch.arange(50_000) % 10, 10, torch.Generator().manual_seed(0)
    )
    assert (len(places), len(cover)) == (500, 0)
    assert (places % 10 == 4).all()


def test_no_more_than_the_class_can_be_poisoned(
    prepared: Any, images: ImageSet, rng: torch.Generator
) -> None:
    with pytest.raises(
        ConfigError, match=r"asks for 30 samples, but only 20 are eligible \(target\)"
    ):
        prepared(CTRL(poison_ratio=0.5), images).poison(images, rng)


def test_as_the_reference_adds_its_frequencies(prepared: Any, counted: Any) -> None:
    """`Poison_Frequency_Diff` of meet-cjli/CTRL at e3d26f0 (utils/frequency.py) with its magnitude
    of 100: what it adds in row 3 of red and row 30 of blue. The way to YUV and back of kornia,
    which it takes, moves pixels by some hundredths of a level by itself.
    """
    images = 100 + counted(1, 3, 32, 32) // 5
    train = ImageSet(images.expand(3, -1, -1, -1), torch.arange(3), ("ant", "bee", "cat"))
    found = prepared(CTRL(), train).stamp(images, torch.zeros(1), torch.Generator()) - images
    np.testing.assert_allclose(
        found[0, 0, 3, :6], [2.139, -1.4622, -3.1956, 2.1107, 1.8416, 0.4937], atol=0.03
    )
    np.testing.assert_allclose(
        found[0, 2, 30, :6], [5.6957, -4.779, -6.0348, 2.6062, 7.918, -2.7956], atol=0.03
    )
