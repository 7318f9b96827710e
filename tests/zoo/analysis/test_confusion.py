"""Confusion matrices of hand-made predictions, and what they say of a repair."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchbd.api import REJECTED, ImageSet, Scene
from benchbd.data.poisoned import TriggeredSet
from benchbd_zoo.analysis.confusion import Confusion, matrix

NAMES = ("ant", "bee", "cat")


def scene(clean: list[int], triggered: list[int]) -> Scene:
    """Two clean images of each class; the four of bee and cat carry a trigger for ant."""
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    images = torch.zeros(6, 1, 2, 2, dtype=torch.uint8)
    return Scene(
        models={},
        predictions={"backdoored": (torch.tensor(clean), torch.tensor(triggered))},
        test=ImageSet(images, labels, NAMES),
        triggered=TriggeredSet(
            torch.tensor([2, 3, 4, 5]), images[2:], labels[2:], torch.zeros(4, dtype=torch.int64)
        ),
        train=None,
        clean_train=ImageSet(images[:0], labels[:0], NAMES),
        clean_twin=lambda number=0: pytest.fail("no twin is needed"),
        stamp=lambda images, labels: pytest.fail("nothing is stamped"),
    )


def test_a_matrix_counts_by_hand() -> None:
    true, given = torch.tensor([0, 0, 1, 1, 1, 1]), torch.tensor([0, 2, 1, 1, 0, REJECTED])
    expected = torch.tensor([[0.5, 0, 0.5, 0], [0.25, 0.5, 0, 0.25], [0, 0, 0, 0]])
    assert torch.equal(matrix(true, given, 3), expected.double())


def test_a_repair_that_kills_the_attacked_class_is_seen() -> None:
    """ACC is 4 of 6 and ASR is 0; what it cost is the class that was attacked."""
    numbers = Confusion().look(scene([1, 2, 1, 1, 2, 2], [1, 1, 2, 2]), torch.Generator()).numbers
    assert numbers["backdoored"] == {
        "least_recall": 0,
        "spread_of_recall": pytest.approx((2 / 9) ** 0.5),
        "target_recall": 0,
        "to_target": 0,
        "to_one_other": 0,
    }


def test_a_backdoor_that_was_moved_is_seen() -> None:
    """Both triggered images of bee are taken for cat, one of cat for bee, one of cat for ant."""
    numbers = Confusion().look(scene([0, 0, 1, 1, 2, 2], [2, 2, 1, 0]), torch.Generator()).numbers
    assert numbers["backdoored"]["to_one_other"] == pytest.approx(0.5)
    assert numbers["backdoored"]["to_target"] == pytest.approx(0.25)


def test_what_is_turned_away_goes_to_no_class() -> None:
    seen = scene([0, 0, 1, 1, 2, REJECTED], [REJECTED, REJECTED, 1, 0])
    found = Confusion().look(seen, torch.Generator())
    assert found.numbers["backdoored"]["to_one_other"] == pytest.approx(0.25)  # cat as bee
    shares = found.pictures["confusion"].panels["backdoored, triggered"]  # type: ignore[union-attr]
    assert shares[1].tolist() == [0, 0, 0, 1]
    assert shares.sum(1).tolist() == [0, 1, 1]


def test_without_a_trigger_only_clean_images_are_counted() -> None:
    sound = scene([0, 0, 1, 1, 2, 2], [])
    none = torch.zeros(0, dtype=torch.int64)
    empty = TriggeredSet(none, sound.test.images[:0], none, none)
    numbers = Confusion().look(replace(sound, triggered=empty), torch.Generator()).numbers
    assert numbers["backdoored"] == {"least_recall": 1, "spread_of_recall": 0}
