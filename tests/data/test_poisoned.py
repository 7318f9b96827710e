"""Deltas over clean sets: what was poisoned, what was triggered."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import PoisonedSet, State, TriggeredSet
from benchbd.errors import DataError


def delta(clean: ImageSet, **changed: Any) -> PoisonedSet:
    parts = {
        "indices": torch.tensor([3, 7, 20]),
        "images": torch.full((3, 3, 16, 16), 9, dtype=torch.uint8),
        "labels": torch.tensor([1, 1, 2]),
        "states": torch.tensor([State.POISONED, State.POISONED, State.COVER], dtype=torch.uint8),
    }
    return PoisonedSet(clean, **(parts | changed))


def test_as_seen_puts_the_delta_in_its_places_and_leaves_the_clean_set_alone(
    images: ImageSet,
) -> None:
    before, seen = images.images.clone(), delta(images).as_seen()
    changed = (seen.images != images.images).flatten(1).any(1)
    assert torch.nonzero(changed)[:, 0].tolist() == [3, 7, 20]
    assert seen.labels[[3, 7, 20]].tolist() == [1, 1, 2]
    assert seen.class_names == images.class_names
    seen.images.zero_()
    assert torch.equal(images.images, before)


def test_states(images: ImageSet) -> None:
    poisoned = delta(images)
    state = poisoned.state()
    assert {place: int(s) for place, s in enumerate(state) if s} == {
        3: State.POISONED,
        7: State.POISONED,
        20: State.COVER,
    }
    assert poisoned.untouched().tolist() == [
        place for place in range(60) if place not in (3, 7, 20)
    ]
    assert (poisoned.count(State.POISONED), poisoned.count(State.COVER), len(poisoned)) == (
        2,
        1,
        60,
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": torch.tensor([1])}, "3 indices needs as many images, labels and states"),
        ({"images": torch.zeros(3, 3, 16, 16)}, "expected poisoned images as uint8"),
        (
            {"images": torch.zeros(3, 1, 16, 16, dtype=torch.uint8)},
            r"uint8 \(3, 16, 16\), got torch.uint8 \(1, 16, 16\)",
        ),
        ({"indices": torch.tensor([3, 7, 60])}, "outside of the 60"),
        ({"indices": torch.tensor([-1, 7, 20])}, "outside of the 60"),
        ({"indices": torch.tensor([3, 3, 20])}, "must ascend"),
        ({"indices": torch.tensor([7, 3, 20])}, "must ascend"),
        (
            {"indices": torch.tensor([3, 7, 20], dtype=torch.uint8)},
            r"poisoned indices as torch.int64 \(3,\), got torch.uint8",
        ),
        (
            {"labels": torch.tensor([[1], [1], [2]])},
            r"poisoned labels as torch.int64 \(3,\), got torch.int64 \(3, 1\)",
        ),
        ({"labels": torch.tensor([1, 1, 3])}, "poisoned labels from 0 to 2, got 1 to 3"),
        (
            {"states": torch.tensor([1, 1, 3], dtype=torch.uint8)},
            "poisoned states from 1 to 2, got 1 to 3",
        ),
    ],
)
def test_a_delta_that_does_not_fit_is_refused(
    images: ImageSet, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        delta(images, **changed)


def test_an_empty_delta_is_the_clean_set(images: ImageSet) -> None:
    none = torch.zeros(0, dtype=torch.int64)
    empty = PoisonedSet(images, none, images.images[:0], none, none.to(torch.uint8))
    assert empty.as_seen().fingerprint() == images.fingerprint()
    assert len(empty.untouched()) == 60


def test_triggered_images_never_bear_their_own_label(images: ImageSet) -> None:
    places, goal = torch.tensor([0, 1]), torch.tensor([1, 1])
    with pytest.raises(DataError, match="true label is already the attacked one"):
        TriggeredSet(places, images.images[places], images.labels[places], goal)
    with pytest.raises(DataError, match="as many images"):
        TriggeredSet(places, images.images[:1], images.labels[places], goal)
    with pytest.raises(DataError, match="uint8"):
        TriggeredSet(places, images.images[places].float(), images.labels[places], goal)
    with pytest.raises(DataError, match="two images of one place"):
        TriggeredSet(places * 0, images.images[places * 0], images.labels[places * 0], goal)
    assert len(TriggeredSet(places[:1], images.images[:1], images.labels[:1], goal[:1])) == 1
