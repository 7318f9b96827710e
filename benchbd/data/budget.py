"""The defender's clean budget: a small stratified draw from training images that were not
poisoned.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchbd.data.images import ImageSet
from benchbd.errors import ConfigError

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
        share = round(ratio * int((clean.labels == label).sum()))
        taken = members[: min(share, len(members))]
        if len(taken) < 2:
            raise ConfigError(
                f"a clean budget of {ratio:g} gives {len(taken)} images of class {label} ({name}), "
                f"2 are needed; raise the budget (`--set defense.ratio=...`)"
            )
        held = max(1, round(VALIDATION_SHARE * len(taken)))
        validation.append(taken[:held])
        train.append(taken[held:])
    return CleanSet(
        clean.subset(torch.cat(train).sort().values),
        clean.subset(torch.cat(validation).sort().values),
    )


def budget_from_file(clean: ImageSet, path: Path, rng: torch.Generator) -> CleanSet:
    """Return the clean budget that a text file lists, one training index a line. `rng` draws the
    split. Raises `ConfigError` for a file that cannot be read, or with indices that do not fit.
    """
    try:
        indices = torch.tensor(
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
    order = indices[torch.randperm(len(indices), generator=rng)]
    held = max(1, round(VALIDATION_SHARE * len(order)))
    return CleanSet(
        clean.subset(order[held:].sort().values), clean.subset(order[:held].sort().values)
    )
