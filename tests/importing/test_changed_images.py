"""The tables of changed images in a result of BackdoorBench: which images are poison, which cover,
and what is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State, TriggeredSet
from benchbd.errors import DataError, RecordError
from benchbd.importing.changed_images import poisoned_images, resemblance, triggered_images
from support.backdoorbench_folder import part, stamped


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the result would lie whose tables are read."""
    return tmp_path / "attack_result.pt"


def table(path: Path, tree: str, clean: ImageSet, given: dict[int, int]) -> dict[str, Any]:
    """Images that are stamped, and the labels that they are given, by place."""
    return part(path.parent, tree, clean, given)


@pytest.fixture
def triggered(path: Path, images: ImageSet) -> TriggeredSet:
    """All images that are no ants, to be taken for one."""
    given = {place: 0 for place, label in enumerate(images.labels.tolist()) if label}
    return triggered_images(path, table(path, "bd_test_dataset", images, given), images)


def test_triggered_images_are_those_of_other_classes(
    triggered: TriggeredSet, images: ImageSet
) -> None:
    assert triggered.indices.tolist() == [place for place in range(60) if place % 3]
    assert torch.equal(triggered.images, stamped(images.images[triggered.indices]))
    assert set(triggered.attacked_labels.tolist()) == {0}


def test_what_keeps_its_label_where_others_of_its_class_do_not_is_cover(
    path: Path, images: ImageSet, triggered: TriggeredSet
) -> None:
    given = {1: 0, 4: 1, 2: 0, 5: 2, 3: 0}  # bees 1 and 4, cats 2 and 5, the ant 3
    found = poisoned_images(path, table(path, "bd_train_dataset", images, given), images, triggered)
    states = dict(zip(found.indices.tolist(), found.states.tolist(), strict=True))
    assert states == {
        1: State.POISONED,
        2: State.POISONED,
        3: State.POISONED,
        4: State.COVER,
        5: State.COVER,
    }


def test_without_a_table_nothing_is_poisoned(
    path: Path, images: ImageSet, triggered: TriggeredSet
) -> None:
    assert len(poisoned_images(path, None, images, triggered).indices) == 0


def test_bystanders_are_named_by_their_places(path: Path, images: ImageSet) -> None:
    listed = table(path, "bd_test_dataset", images, {1: 0, 2: 0, 4: 0})
    found = triggered_images(path, listed, images, bystanders=[2, numpy.int64(4)])
    assert found.bystander.tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({99: {}}, DataError, "changes image 99 of the bd_test_dataset, the clean data have 60"),
        ({1: {}}, RecordError, r"cannot be used \(KeyError: 'other_info'\)"),
        ({"first": {}}, RecordError, r"cannot be used \(ValueError"),
        ({1.5: {}}, RecordError, "1.5 is no whole number"),
    ],
)
def test_tables_that_do_not_fit_are_refused(
    path: Path, images: ImageSet, change: dict[Any, Any], error: type[Exception], words: str
) -> None:
    listed = table(path, "bd_test_dataset", images, {1: 0})
    listed["bd_data_container"]["data_dict"] |= change
    listed["poison_indicator"] = None
    with pytest.raises(error, match=words):
        triggered_images(path, listed, images)


def test_other_images_are_noticed_by_their_labels(path: Path, images: ImageSet) -> None:
    listed = table(path, "bd_test_dataset", images, {1: 0, 2: 0})
    turned = ImageSet(images.images, images.labels.roll(1), images.class_names)
    with pytest.raises(DataError, match="of 2 labels 2 differ from those of the clean data"):
        triggered_images(path, listed, turned)


def test_resemblance_by_hand() -> None:
    images = torch.tensor([0.0, 1, 2, 3]).reshape(1, 1, 2, 2)
    assert resemblance(images, 2 * images + 7) == pytest.approx(1)
    assert resemblance(images, -images) == pytest.approx(-1)
    assert resemblance(images, images.flip(3)) == pytest.approx(0.6)
    assert resemblance(images[:0], images[:0]) is None
