"""SEAM (Zhu, Tang, Tang, Wang and Tang, IEEE S&P 2023, 2212.04687): make the network forget,
then let it recover what is clean.

Catastrophic forgetting takes the backdoor along with the task, and clean images bring back the task
alone.

    1. forget: train all weights on few clean images with wrong labels, drawn anew for every batch
       among the other classes, until accuracy is below acc_for = min(2 / K, .6); `epoch_for` passes
       at most
    2. recover: train all weights on the clean images with their labels until accuracy is above
       `acc_rec`; `epoch_rec` passes at most

Departs from the paper: this is the port of backdoor-toolbox, Adam in place of SGD. Both accuracies
are taken on the validation split; there they are those on the images that are trained on. There
1 % of the training set is for forgetting and 10 % for recovery; here it is the share `forget_share`
of the clean images to learn from, 1 % of a training set of which a defender holds 5 %, and all of
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    Augmentation,
    CleanSet,
    ImageSet,
    Repair,
    Repaired,
    accuracy,
    device_of,
    epoch_done,
    fork,
    hardware,
    param,
    track,
)
from benchbd_zoo.defense.parts.passes import Passes

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of images (B, C, H, W) in [0, 1] and labels (B,)."""


class SEAM(Augmentation, Repair):
    """Parameters carry the names of the reference implementation."""

    api = 1
    quick: ClassVar[dict[str, Any]] = {"epoch_for": 1, "epoch_rec": 2}

    forget_share: float = param(
        0.25, "share of the images learned from that are for forgetting", gt=0, le=1
    )
    acc_for: float | None = param(
        None, "accuracy below which forgetting ends; unset: 2 / classes, .6 at most", ge=0, le=1
    )
    epoch_for: int = param(10, "passes of forgetting at most", ge=1)
    acc_rec: float = param(0.97, "accuracy above which recovery ends", ge=0, le=1)
    epoch_rec: int = param(100, "passes of recovery at most", ge=1)
    lr: float = param(1e-3, "learning rate, by Adam", gt=0)
    batch_size: int = param(32, "images per step", ge=1)
    shift: int = param(0, "random crops: pixels of zero border", ge=0)

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Repaired:
        learned, held = clean.train, clean.validation
        draws, classes = fork(rng), learned.num_classes
        few = learned.subset(self._few(len(learned), draws))
        enough = min(2 / classes, 0.6) if self.acc_for is None else self.acc_for

        def misled(images: Tensor, labels: Tensor) -> Tensor:
            return F.cross_entropy(model(images).float(), wrong(labels, classes, draws))

        def right(images: Tensor, labels: Tensor) -> Tensor:
            return F.cross_entropy(model(images).float(), labels)

        forgotten, recovered = [], []
        for _ in self._course(model, few, misled, self.epoch_for, rng):
            forgotten.append(accuracy(model, held.images, held.labels))
            if forgotten[-1] < enough:
                break
        for _ in self._course(model, learned, right, self.epoch_rec, rng):
            recovered.append(accuracy(model, held.images, held.labels))
            if recovered[-1] > self.acc_rec:
                break
        notes = {"forgetting_accuracies": forgotten, "recovery_accuracies": recovered}
        return Repaired(model.eval(), notes=notes)

    def _few(self, count: int, rng: torch.Generator) -> Tensor:
        """Places of the images that are for forgetting, one at least."""
        return torch.randperm(count, generator=rng)[: max(1, round(self.forget_share * count))]

    def _course(
        self, model: nn.Module, images: ImageSet, loss: Loss, most: int, rng: torch.Generator
    ) -> Iterator[None]:
        """Passes of training, each done when it is yielded, with an optimizer of their own."""
        passes = Passes(images, self.batch_size, fork(rng), shift=self.shift, flip=self.flip)
        adam, machine = (
            torch.optim.Adam(model.parameters(), lr=self.lr),
            hardware(str(device_of(model))),
        )
        for done in track(range(1, most + 1), "SEAM: passes"):
            model.train()
            for batch, labels in passes.once():
                with machine.autocast(batch):
                    value = loss(batch, labels)
                adam.zero_grad()
                value.backward()
                adam.step()
            epoch_done(model.eval(), done)
            yield


def wrong(labels: Tensor, classes: int, rng: torch.Generator) -> Tensor:
    """For each of `labels` (B,) another class, each of the others as likely."""
    away = torch.randint(1, classes, labels.shape, generator=rng).to(labels.device)
    return (labels + away) % classes
