"""Poisoned training sets and triggered test sets, each stored as the difference from the
clean set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import torch
from torch import Tensor

from benchbd.data.images import ImageSet
from benchbd.data.mapped import writable_copy
from benchbd.errors import DataError


class State(IntEnum):
    """What was done to a training sample. A cover sample carries a trigger and keeps its true
    label.

    >>> State(scene.poisoned_set().state().max().item()).name
    'POISONED'
    """

    CLEAN = 0
    POISONED = 1
    COVER = 2


def _require_column(what: str, values: Tensor, count: int, dtype: torch.dtype) -> None:
    if values.dtype != dtype or values.shape != (count,):
        raise DataError(
            f"expected {what} as {dtype} ({count},), got {values.dtype} {tuple(values.shape)}"
        )


def _require_between(what: str, values: Tensor, lowest: int, highest: int) -> None:
    if len(values) and not lowest <= int(values.min()) <= int(values.max()) <= highest:
        raise DataError(
            f"expected {what} from {lowest} to {highest}, got {int(values.min())} to "
            f"{int(values.max())}"
        )


@dataclass(frozen=True, eq=False)
class PoisonedSet:
    """A clean training set and the samples that the attacker changed.

    `indices` (K,) int64 are places in `clean`, ascending; `images` (K, C, H, W) uint8, `labels`
    (K,) int64 and `states` (K,) uint8 (`State`) replace the clean ones there. Raises `DataError`
    when these do not fit together.

    >>> poisoned = scene.poisoned_set()
    >>> len(poisoned), poisoned.count(State.POISONED)
    (200, 40)
    """

    clean: ImageSet
    indices: Tensor
    images: Tensor
    labels: Tensor
    states: Tensor

    def __post_init__(self) -> None:
        count = len(self.indices)
        if not (len(self.images) == len(self.labels) == len(self.states) == count):
            raise DataError(
                f"a poisoned set of {count} indices needs as many images, labels and states"
            )
        if count and (
            self.images.dtype != torch.uint8 or self.images.shape[1:] != self.clean.images.shape[1:]
        ):
            given = f"{self.images.dtype} {tuple(self.images.shape[1:])}"
            raise DataError(
                f"expected poisoned images as uint8 {self.clean.image_shape}, got {given}"
            )
        if count and not 0 <= int(self.indices.min()) <= int(self.indices.max()) < len(self.clean):
            raise DataError(
                f"a poisoned index lies outside of the {len(self.clean)} training samples"
            )
        if not bool((self.indices.diff() > 0).all()):
            raise DataError("the indices of a poisoned set must ascend, each sample at most once")
        _require_column("poisoned indices", self.indices, count, torch.int64)
        _require_column("poisoned labels", self.labels, count, torch.int64)
        _require_column("poisoned states", self.states, count, torch.uint8)
        _require_between("poisoned labels", self.labels, 0, self.clean.num_classes - 1)
        _require_between("poisoned states", self.states, State.POISONED, State.COVER)

    def __len__(self) -> int:
        return len(self.clean)

    def as_seen(self) -> ImageSet:
        """Return the training set that the victim sees: images and labels, without the information
        which of them are poisoned.
        """
        images, labels = writable_copy(self.clean.images), self.clean.labels.clone()
        images[self.indices], labels[self.indices] = self.images, self.labels
        return ImageSet(images, labels, self.clean.class_names)

    def state(self) -> Tensor:
        """Return the `State` of every training sample, (N,) uint8."""
        state = torch.zeros(len(self.clean), dtype=torch.uint8)
        state[self.indices] = self.states
        return state

    def untouched(self) -> Tensor:
        """Return the indices of the samples that the attacker did not change, ascending."""
        return torch.nonzero(self.state() == State.CLEAN)[:, 0]

    def count(self, state: State) -> int:
        """Return the number of samples in that state."""
        return int((self.states == state).sum())


UNKNOWN_LABEL = -1
"""Stands for the true label of a triggered image if nobody knows it, and for its place in the test
set if its clean version is not there.
"""


@dataclass(frozen=True, eq=False)
class TriggeredSet:
    """Test images with the trigger, without those whose true label is already the attacked one.

    `indices` (M,) int64 are places in the clean test set or `UNKNOWN_LABEL`, `images` are (M, C, H,
    W) uint8, `true_labels` (M,) int64 may be `UNKNOWN_LABEL`, and `attacked_labels` are (M,) int64.
    `bystander` (M,) bool marks the images for which the trigger of a source-specific attack is not
    meant; they count for neither ASR nor RC. It is empty where there are none. Raises `DataError`
    when these do not fit together.
    """

    indices: Tensor
    images: Tensor
    true_labels: Tensor
    attacked_labels: Tensor
    bystander: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise DataError(
                f"expected triggered images as uint8 (M, C, H, W), got {self.images.dtype} "
                f"{tuple(self.images.shape)}"
            )
        if (
            not len(self.indices)
            == len(self.images)
            == len(self.true_labels)
            == len(self.attacked_labels)
        ):
            raise DataError(
                "a triggered set needs as many images, true labels and attacked labels as indices"
            )
        if len(self.bystander) not in (0, len(self.indices)):
            raise DataError(
                f"of {len(self.indices)} triggered images {len(self.bystander)} were said to be "
                "bystanders or not"
            )
        _require_column("bystander", self.bystander, len(self.bystander), torch.bool)
        for name in ("indices", "true_labels", "attacked_labels"):
            _require_column(name, getattr(self, name), len(self.indices), torch.int64)
        places = self.indices[self.paired]
        if len(places.unique()) < len(places):
            raise DataError(
                "a triggered set holds two images of one place in the test set; leave one of them "
                "out"
            )
        if bool((self.true_labels == self.attacked_labels).any()):
            raise DataError(
                "a triggered set holds an image whose true label is already the attacked one; "
                "leave it out"
            )

    def require_of(self, test: ImageSet) -> None:
        """Raise `DataError` unless these may be images of the test set `test`."""
        if self.images.shape[1:] != test.images.shape[1:]:
            raise DataError(
                f"expected triggered images like the test images {test.image_shape}, got "
                f"{tuple(self.images.shape[1:])}"
            )
        _require_between("places of triggered images", self.indices, UNKNOWN_LABEL, len(test) - 1)
        _require_between(
            "true labels of triggered images", self.true_labels, UNKNOWN_LABEL, test.num_classes - 1
        )
        _require_between("attacked labels", self.attacked_labels, 0, test.num_classes - 1)

    @property
    def is_true_known(self) -> bool:
        """Whether the true label of every image is known. Otherwise RC cannot be measured."""
        return not bool((self.true_labels == UNKNOWN_LABEL).any())

    @property
    def paired(self) -> Tensor:
        """Which images, (M,) bool, have their clean version in the test set."""
        return self.indices != UNKNOWN_LABEL

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def scored(self) -> Tensor:
        """Which images, (M,) bool, count for ASR and RC."""
        return ~self.bystander if len(self.bystander) else torch.ones(len(self), dtype=torch.bool)
