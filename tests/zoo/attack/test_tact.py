"""TaCT: whom it poisons, who covers, and on whom it is scored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd.errors import ConfigError
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
    expected[:, :, 5:13, 5:13] = attack.trigger["patch"]
    np.testing.assert_array_equal(poisoned.images, expected)


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
    assert (triggered.images[:, :, 5:13, 5:13] == triggered.images[:1, :, 5:13, 5:13]).all()


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
