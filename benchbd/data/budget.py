"""The defender's clean budget: a small stratified draw from training images that were not
poisoned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchbd.data.images import ImageSet
from benchbd.errors import ConfigError, DataError

VALIDATION_SHARE = 0.2
"""Share of the budget that is held back for choosing thresholds and epochs."""


@dataclass(frozen=True, eq=False)
class CleanSet:
    """The clean images that a defender holds: `train` to learn from, and `validation` to choose
    thresholds and epochs with.

    Both are training images that the attacker did not change, and lie on the device of the run.
    `len()` is the number of images in both.

    >>> len(clean), len(clean.train), len(clean.validation)
    (40, 32, 8)
    >>> clean.all().images.shape
    torch.Size([40, 3, 32, 32])
    """

    train: ImageSet
    validation: ImageSet

    @classmethod
    def empty(cls, like: ImageSet) -> CleanSet:
        """Return a clean set without images, for images of the shape and the classes of `like`.

        >>> nothing = CleanSet.empty(clean.train)
        >>> len(nothing), nothing.train.image_shape
        (0, (3, 32, 32))
        """
        nothing = like.subset(torch.arange(0))
        return cls(nothing, nothing)

    def __len__(self) -> int:
        return len(self.train) + len(self.validation)

    def all(self) -> ImageSet:
        """Return both parts as one set, for methods that choose nothing."""
        return ImageSet(
            torch.cat([self.train.images, self.validation.images]),
            torch.cat([self.train.labels, self.validation.labels]),
            self.train.class_names,
        )

    def to(self, device: torch.device) -> CleanSet:
        """Return the same images on another device."""
        return CleanSet(self.train.to(device), self.validation.to(device))


def draw_budget(clean: ImageSet, untouched: Tensor, ratio: float, rng: torch.Generator) -> CleanSet:
    """Draw `ratio` of the training set, the same share of every class, and split off the validation
    part.

    `untouched` (M,) are the places in `clean` that the attacker did not change; they are drawn
    first. Where too few of a class are left (clean-label attacks can poison all of one), the clean
    originals of poisoned images are added. One permutation per class is drawn and cut, so a smaller
    budget of the same random stream is a part of a larger one. Raises `ConfigError` when a class
    would give fewer than two images (one to learn from, one to choose with).
    """
    train, validation = [], []
    left_alone = torch.zeros(len(clean), dtype=torch.bool)
    left_alone[untouched] = True
    for label, name in enumerate(clean.class_names):
        members = torch.nonzero(clean.labels == label)[:, 0]
        members = members[torch.randperm(len(members), generator=rng)]
        members = torch.cat([members[left_alone[members]], members[~left_alone[members]]])
        taken = members[: _share(clean, label, name, ratio)]
        held = max(1, round(VALIDATION_SHARE * len(taken)))
        validation.append(taken[:held])
        train.append(taken[held:])
    return CleanSet(
        clean.subset(torch.cat(train).sort().values),
        clean.subset(torch.cat(validation).sort().values),
    )


def require_drawable(clean: ImageSet, ratio: float) -> None:
    """Raise as `draw_budget` would for these images, without drawing: before anything is trained
    that a budget could not be drawn for.
    """
    for label, name in enumerate(clean.class_names):
        _share(clean, label, name, ratio)


def _share(clean: ImageSet, label: int, name: str, ratio: float) -> int:
    """Return how many images of a class the budget takes. Raises `DataError` for a class without
    images, `ConfigError` for fewer than two.
    """
    count = int((clean.labels == label).sum())
    if not count:
        raise DataError(
            f"class {label} ({name}) has no training image, and a budget takes some of each "
            "class; add images, or take the class out of the data set"
        )
    share = min(round(ratio * count), count)
    if share < 2:
        least = int(torch.bincount(clean.labels).min())
        enough = math.ceil(1500 / least) / 1000 if least > 1 else 1
        remedy = f"raise the budget to {enough:g}" if least > 1 else "add images of it"
        raise ConfigError(
            f"a clean budget of {ratio:g} gives {share} images of class {label} ({name}), 2 are "
            f"needed of its {count}; {remedy} (`--set defense.ratio={enough:g}`)"
        )
    return share


def budget_from_file(clean: ImageSet, path: Path, rng: torch.Generator) -> CleanSet:
    """Return the clean budget that a text file lists, one training index a line. `rng` draws the
    split. Raises `ConfigError` for a file that cannot be read, or with indices that do not fit.
    """
    indices = listed_indices(clean, path)
    order = indices[torch.randperm(len(indices), generator=rng)]
    held = max(1, round(VALIDATION_SHARE * len(order)))
    return CleanSet(
        clean.subset(order[held:].sort().values), clean.subset(order[:held].sort().values)
    )


def listed_indices(clean: ImageSet, path: Path) -> Tensor:
    """Return the training indices (M,) in a file, each once. Raises `ConfigError`."""
    try:
        indices: Tensor = torch.tensor(
            [int(line) for line in path.read_text().split()], dtype=torch.int64
        ).unique()
    except OSError as error:
        raise ConfigError(f"cannot read the index file {path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(
            f"index file {path}: expected whole numbers, one a line; {error}"
        ) from None
    if len(indices) < 2 or int(indices.min()) < 0 or int(indices.max()) >= len(clean):
        raise ConfigError(
            f"index file {path}: expected at least 2 different indices from 0 to {len(clean) - 1}"
        )
    return indices
