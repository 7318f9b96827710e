"""BadNets (Gu, Dolan-Gavitt, Garg 2017, 1708.06733): a small fixed patch.

    x' = (1 - m) * x + m * p        m: mask of the patch, p: its picture

Poisoned samples are labelled with the target (all_to_one), or with the class after their own
(all_to_all). With `more_targets` there are several backdoors in one model: each target has a corner
of its own, and the classes are dealt out among the targets in turn, none to itself.

Departs from the paper: nothing.
"""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from benchbd.api import ClassNumber, ConfigError, ImageSet, LabelMode, param, relabel
from benchbd_zoo.attack.parts.patch import Corner, Patched

CORNERS: tuple[Corner, ...] = get_args(Corner)


class BadNet(Patched):
    """A square in a corner, or an image file of which the transparent parts let the picture
    through.
    """

    api = 1

    label_mode: LabelMode = param(
        "all_to_one", "who is taken for what: every class for the target, or each for the next"
    )
    more_targets: tuple[ClassNumber, ...] = param(
        (), "further targets, up to three, each with a corner of its own", max_length=3
    )

    def attacked_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        if self.more_targets:
            return self._targets()[self._dealt(labels)]
        return relabel(labels, num_classes, self.label_mode, self.target)

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        if not self.more_targets:
            return self.put(images, self.corner)
        stamped, dealt = images.clone(), self._dealt(labels).to(images.device)
        for number, corner in enumerate(self._corners()):
            stamped[dealt == number] = self.put(images[dealt == number], corner)
        return stamped

    def require_target(self, images: ImageSet) -> None:
        super().require_target(images)
        targets = self._targets().tolist()
        if self.more_targets and self.label_mode == "all_to_all":
            raise ConfigError(
                f"{self.name}: all_to_all attacks every class already; leave more_targets out"
            )
        if len(set(targets)) < len(targets) or not all(
            0 <= target < images.num_classes for target in targets
        ):
            raise ConfigError(
                f"{self.name}: expected target and more_targets to be different classes from 0 to "
                f"{images.num_classes - 1}, "
                f"got {targets}"
            )

    def _targets(self) -> Tensor:
        return torch.tensor((self.target, *self.more_targets))

    def _corners(self) -> list[Corner]:
        """One for each target; the first sits where `corner` says."""
        others = [corner for corner in CORNERS if corner != self.corner]
        return [self.corner, *others][: 1 + len(self.more_targets)]

    def _dealt(self, labels: Tensor) -> Tensor:
        """Which target (N,), counted from 0, images of true labels (N,) are meant for."""
        targets = self._targets().to(labels.device)
        turn = labels % len(targets)
        return torch.where(targets[turn] == labels, (turn + 1) % len(targets), turn)
