"""The reader of the changed images of a BackdoorBench result: tables of places, labels and paths,
and PNG files beside the result.

Of a path, only the last two parts count, the class folder and the file name. They are looked up
where the result lies now.

BackdoorBench does not mark cover samples. A changed image that keeps its label is taken for a cover
sample if the attack gives other images of its class another label. Otherwise, as in clean-label
attacks and for the target class itself, it counts as poisoned.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from benchbd.attack.training_controlled import unpoisoned_set
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import PoisonedSet, State, TriggeredSet
from benchbd.errors import DataError, RecordError
from benchbd.importing.pictures import inside, read_pictures

TRAIN_TREE, TEST_TREE = "bd_train_dataset", "bd_test_dataset"
"""The folders of PNG files beside a result, one for each split."""


@dataclass(frozen=True, eq=False)
class _Listed:
    """Changed images: their places in the clean set (K,), ascending, their given and true labels
    (K,), and their files.
    """

    places: Tensor
    given: Tensor
    true: Tensor
    files: list[Path]


def _listed(path: Path, part: Any, clean: ImageSet, tree: str) -> _Listed:
    """Return the images that a part of the result lists, each checked against the clean data."""
    table = part["bd_data_container"]["data_dict"]
    marked = part.get("poison_indicator")
    rows: list[tuple[int, ...]] = []
    files: list[Path] = []
    for place, entry in sorted((_whole(key), entry) for key, entry in table.items()):
        if not 0 <= place < len(clean):
            raise DataError(
                f"{path} changes image {place} of the {tree}, the clean data have {len(clean)}; "
                "choose the data it was made from"
            )
        if marked is None or _is_marked(marked, place):
            given, true = (_whole(label) for label in entry["other_info"][:2])
            rows.append((place, given, true))
            files.append(_file(path.parent / tree, str(entry["path"])))
    places, labels, truth = torch.tensor(rows, dtype=torch.int64).reshape(-1, 3).unbind(1)
    listed = _Listed(places, labels, truth, files)
    _require_same_images(path, clean, listed)
    return listed


def _require_same_images(path: Path, clean: ImageSet, listed: _Listed) -> None:
    places, given = listed.places, listed.given
    wrong = int((clean.labels[places] != listed.true).sum())
    if wrong:
        raise DataError(
            f"{path} was made from other images: of {len(places)} labels {wrong} differ from "
            "those of the clean data; "
            "give the same data set in the same order (`--dataset`, `--set dataset.PARAM=VALUE`)"
        )
    if len(given) and not 0 <= int(given.min()) <= int(given.max()) < clean.num_classes:
        raise DataError(
            f"{path} gives labels from {int(given.min())} to {int(given.max())}, there are "
            f"{clean.num_classes} classes"
        )


def _is_marked(marked: NDArray[Any], place: int) -> bool:
    return place < len(marked) and bool(marked[place])


def _whole(value: Any) -> int:
    """Return a whole number, which the table may hold as a number or as text. Raises
    `ValueError`.
    """
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value} is no whole number")
    return int(value)


def _file(tree: Path, written: str) -> Path:
    """Return where the image lies now: its class folder and file name, below the folder beside the
    result.
    """
    parts = PurePosixPath(written.replace("\\", "/")).parts[-2:]
    return inside(tree, *parts)


def triggered_images(
    path: Path, part: Any, test: ImageSet, bystanders: Iterable[Any] = ()
) -> TriggeredSet:
    """Return the triggered test images whose true label is not already the attacked one.
    bystanders: the places of the bystanders.
    """
    try:
        listed = _listed(path, part, test, TEST_TREE)
        away = torch.tensor([_whole(place) for place in bystanders], dtype=torch.int64)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(
            f"{path}: its table of triggered images cannot be used ({type(error).__name__}: "
            f"{error})"
        ) from None
    scored = torch.nonzero(listed.given != listed.true)[:, 0]
    images = read_pictures([listed.files[place] for place in scored.tolist()], test.image_shape)
    places = listed.places[scored]
    bystander = torch.isin(places, away) if len(away) else torch.zeros(0, dtype=torch.bool)
    return TriggeredSet(places, images, listed.true[scored], listed.given[scored], bystander)


def poisoned_images(path: Path, part: Any, train: ImageSet, triggered: TriggeredSet) -> PoisonedSet:
    """Return the poisoned training set of an imported result, from the part of its file that lists
    the changed images. Without such a part, nothing is poisoned.

    A changed image that keeps its label is a cover sample if the attack gives another label to
    other images of its class. Raises `RecordError` for a list that cannot be used.
    """
    if part is None:
        return unpoisoned_set(train)
    try:
        listed = _listed(path, part, train, TRAIN_TREE)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(
            f"{path}: its table of poisoned images cannot be used ({type(error).__name__}: {error})"
        ) from None
    images = read_pictures(listed.files, train.image_shape)
    kept_label = listed.given == listed.true
    states = torch.full_like(listed.given, State.POISONED, dtype=torch.uint8)
    states[kept_label & _is_relabelled_elsewhere(listed, triggered)] = State.COVER
    return PoisonedSet(train, listed.places, images, listed.given, states)


def _is_relabelled_elsewhere(listed: _Listed, triggered: TriggeredSet) -> Tensor:
    """Return for which poisoned images, (K,) bool, the attack gives other training images of the
    same class another label.
    """
    changed = listed.given != listed.true
    relabelled = set(listed.true[changed].tolist())
    # a class of which no sample happened to be relabelled in training is judged by the test images
    if relabelled:
        relabelled |= set(triggered.true_labels.tolist())
    return torch.tensor([label in relabelled for label in listed.true.tolist()], dtype=torch.bool)


def resemblance(clean: Tensor, triggered: Tensor) -> float | None:
    """Return the median correlation of the triggered images (M, C, H, W) with the clean ones at
    their places, or None if there are none.
    """
    if not len(clean):
        return None
    rows = [images.flatten(1).double() for images in (clean, triggered)]
    first, second = (row - row.mean(1, keepdim=True) for row in rows)
    scale = (first.norm(dim=1) * second.norm(dim=1)).clamp(min=1e-9)
    return float(((first * second).sum(1) / scale).median())
