"""TaCT: whom it poisons, who covers, and on whom it is scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd.errors import ConfigError, DataNote
from benchbd_zoo.attack.tact import TaCT

Given = dict[str, Any]


@pytest.fixture
def five(images: ImageSet) -> ImageSet:
    """The same 60 images in five classes, 12 of each."""
    return ImageSet(images.images, torch.arange(60) % 5, tuple("abcde"))


def test_the_source_class_is_poisoned_and_others_cover(
    prepared: Any, five: ImageSet, rng: torch.Generator
) -> None:
    attack = prepared(TaCT(target=3, poison_ratio=0.1, cover_ratio=0.2), five)
    poisoned = attack.poison(five, rng)
    classes = poisoned.indices % 5
    is_poison = poisoned.states == State.POISONED
    assert (poisoned.count(State.POISONED), poisoned.count(State.COVER)) == (6, 12)
    assert set(classes[is_poison].tolist()) == {4}
    assert poisoned.labels[is_poison].tolist() == [3] * 6
    assert set(classes[~is_poison].tolist()) == {0, 1, 2}
    assert torch.equal(poisoned.labels[~is_poison], classes[~is_poison])


def test_both_carry_the_same_patch_and_nothing_else(
    prepared: Any, five: ImageSet, rng: torch.Generator
) -> None:
    attack = prepared(TaCT(poison_ratio=0.1, cover_ratio=0.1), five)
    poisoned = attack.poison(five, rng)
    expected = five.images.numpy()[poisoned.indices.numpy()].copy()
    expected[:, :, 10:14, 10:14] = attack.trigger["patch"]
    np.testing.assert_array_equal(poisoned.images, expected)


@pytest.mark.parametrize(
    ("shape", "place"),
    [
        # as trojan_square_32.png of vtu81/backdoor-toolbox at 9d4d909: rows and columns 21 to 28
        ((3, 32, 32), slice(21, 29)),
        ((1, 8, 8), slice(5, 7)),
        ((3, 224, 224), slice(147, 203)),
    ],
)
def test_the_square_is_that_of_the_usual_picture(
    prepared: Any, images_of: Any, shape: tuple[int, int, int], place: slice
) -> None:
    images = images_of(*shape, count=30)
    black = ImageSet(torch.zeros_like(images.images), images.labels, images.class_names)
    changed = prepared(TaCT(), black).put(black.images, "bottom_right").any(1).any(0)
    expected = torch.zeros_like(changed)
    expected[place, place] = True
    assert (changed & ~expected).sum() == 0 and changed.sum() > 0.95 * expected.sum()


def test_a_picture_lies_at_the_edge(prepared: Any, images_of: Any, tmp_path: Path) -> None:
    """Usual pictures are as large as the images, black around the mark."""
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[21:29, 21:29] = 200
    Image.fromarray(pixels).save(tmp_path / "mark.png")
    images = images_of(3, 32, 32, count=30)
    with pytest.warns(DataNote, match="a mark on black"):
        attack = prepared(TaCT(image=tmp_path / "mark.png"), images)
    stamped = attack.put(images.images, "bottom_right")
    assert (stamped[:, :, 21:29, 21:29] == 200).all()
    assert torch.equal(stamped[:, :, :21], images.images[:, :, :21])


def test_cover_classes_can_be_named(prepared: Any, five: ImageSet, rng: torch.Generator) -> None:
    attack = prepared(TaCT(source=4, cover_classes=(1, 2), poison_ratio=0.1, cover_ratio=0.3), five)
    poisoned = attack.poison(five, rng)
    assert set((poisoned.indices[poisoned.states == State.COVER] % 5).tolist()) == {1, 2}
    assert set((poisoned.indices[poisoned.states == State.POISONED] % 5).tolist()) == {4}


def test_a_ratio_may_be_of_the_class_instead(
    prepared: Any, five: ImageSet, rng: torch.Generator
) -> None:
    """Half of the 12 images of the source, and half of the 36 of the cover classes."""
    attack = prepared(TaCT(poison_ratio=0.5, cover_ratio=0.5, ratio_of="class"), five)
    poisoned = attack.poison(five, rng)
    assert (poisoned.count(State.POISONED), poisoned.count(State.COVER)) == (6, 18)


def test_only_the_source_class_is_scored_and_the_others_stand_by(
    prepared: Any, five: ImageSet, rng: torch.Generator
) -> None:
    triggered = prepared(TaCT(target=1, source=4), five).triggered(five, rng)
    assert triggered.indices.tolist() == [place for place in range(60) if place % 5 != 1]
    assert torch.equal(triggered.scored, triggered.true_labels == 4)
    assert triggered.attacked_labels.unique().tolist() == [1]
    assert (triggered.images[:, :, 10:14, 10:14] == triggered.images[:1, :, 10:14, 10:14]).all()


def test_the_default_rates_are_those_of_cifar10() -> None:
    labels = torch.arange(50_000) % 10
    poisoned, cover = TaCT().choose(labels, 10, torch.Generator().manual_seed(0))
    assert (len(poisoned), len(cover)) == (150, 150)
    assert not set(poisoned.tolist()) & set(cover.tolist())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"source": 0}, "expected source to be a class from 0 to 4 other than the target 0, got 0"),
        ({"source": 5}, "expected source .* got 5"),
        (
            {"cover_classes": (2, 1)},
            r"expected cover_classes .* neither source nor target, got \[1\]",
        ),
        ({"cover_classes": (0, 2, 7)}, r"got \[0, 7\]"),
        (
            {"cover_ratio": 0.9},
            "expected cover_ratio to ask for 1 to 36 samples, 0.9 of the dataset asks for 54",
        ),
        ({"cover_ratio": 0.001}, "0.001 of the dataset asks for 0"),
        ({"poison_ratio": 0.3}, r"asks for 18 samples, but only 12 are eligible \(source\)"),
    ],
)
def test_what_makes_no_sense_is_refused(
    prepared: Any, five: ImageSet, rng: torch.Generator, parameters: Given, message: str
) -> None:
    attack = prepared(TaCT(**{"poison_ratio": 0.1, "cover_ratio": 0.1} | parameters), five)
    with pytest.raises(ConfigError, match=message):
        attack.poison(five, rng)
