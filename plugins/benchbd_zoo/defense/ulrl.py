"""ULRL (Min, Pham and Sun, 2405.14781): unlearn to see which outputs are suspicious, and learn
those anew.

    1. unlearn: ascend CE over the clean images by SGD, all weights of a copy of the network, until
       its accuracy in a pass is at most `clean_threshold`
    2. c_k = sum |w_after - w_before| over the weights of class k in the head;
       z_k = |c_k - median| / (1.4826 * MAD), MAD the median of |c - median|
       suspicious: c_k above the median and z_k > `z_threshold`, the two of the largest c at most
    3. in the network that was handed in: draw the suspicious rows of the head anew from U(-s, s),
       s = sqrt(2 / inputs of the head), their biases 0; tune all weights by SGD on
           CE(f(x), y) + relearn_alpha * sum over these rows of cos(row, row as it was)

Where no row is suspicious this is plain fine-tuning; `suspicious` in the notes tells.

Departs from the paper: of more than two suspicious rows its code takes the two of the lowest
numbers. The learning rate falls with every step, there with every epoch. The paper holds 1 % of
CIFAR-10. A MAD of 0 makes no row suspicious.
"""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    Augmentation,
    CleanSet,
    Diverged,
    Recipe,
    Repair,
    Repaired,
    fit,
    fork,
    param,
    track,
)
from benchbd_zoo.defense.parts.passes import Passes
from benchbd_zoo.defense.parts.tuning import head_of
from benchbd_zoo.defense.parts.unlearning import ascend, is_finite

MOST = 2
"""Suspicious classes at most."""

STEEPEST = 20.0
"""Norm to which gradients of unlearning are shortened."""


class ULRL(Augmentation, Repair):
    """Parameters carry the names of the reference implementation. It chooses nothing, so it learns
    from all clean images.
    """

    api = 1

    unlearning_epochs: int = param(20, "passes of unlearning at most", ge=1)
    unlearning_lr: float = param(0.01, "learning rate of unlearning", gt=0)
    schedule: tuple[int, ...] = param(
        (10, 20), "passes of unlearning after which its learning rate is divided by ten"
    )
    weight_decay: float = param(5e-4, "L2 penalty of unlearning", ge=0)
    clean_threshold: float = param(
        0.2, "accuracy on the clean images at or below which unlearning ends", ge=0, le=1
    )
    z_threshold: float = param(3.5, "deviations from which on a class is suspicious", ge=0)
    relearn_epochs: int = param(20, "passes of the tuning", ge=0)
    relearn_lr: float = param(0.005, "learning rate of the tuning", gt=0)
    relearn_alpha: float = param(0.7, "weight of the likeness to the rows as they were", ge=0)
    momentum: float = param(0.9, "momentum", ge=0, lt=1)
    batch_size: int = param(128, "images per step", ge=1)

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Repaired:
        unlearned, accuracies = self._unlearn(model, clean, fork(rng))
        moved = (head_of(unlearned).weight - head_of(model).weight).detach().abs().sum(1)
        rows = suspicious(moved, self.z_threshold)
        old = head_of(model).weight.detach()[rows].clone()
        _redraw_rows(head_of(model), rows, fork(rng))

        def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            likeness = F.cosine_similarity(head_of(model).weight[rows], old).sum()
            return F.cross_entropy(model(images).float(), labels) + self.relearn_alpha * likeness

        recipe = Recipe(
            epochs=self.relearn_epochs,
            lr=self.relearn_lr,
            batch_size=self.batch_size,
            momentum=self.momentum,
            weight_decay=0,
            schedule="cosine",
            shift=self.shift,
            flip=self.flip,
        )
        tuned = fit(model, clean.all(), recipe, rng, loss=loss, what="ULRL: relearning")
        notes = {
            "suspicious": rows.tolist(),
            "changes": moved.tolist(),
            "unlearning_accuracies": accuracies,
        }
        return Repaired(tuned, notes=notes)

    def _unlearn(
        self, model: nn.Module, clean: CleanSet, rng: torch.Generator
    ) -> tuple[nn.Module, list[float]]:
        """Step 1, and the accuracy in every pass."""
        network = copy.deepcopy(model).train()
        passes = Passes(clean.all(), self.batch_size, rng, shift=self.shift, flip=self.flip)
        sgd = torch.optim.SGD(
            network.parameters(),
            lr=self.unlearning_lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )
        course = torch.optim.lr_scheduler.MultiStepLR(sgd, list(self.schedule))
        accuracies = []
        for done in track(range(1, self.unlearning_epochs + 1), "ULRL: unlearning"):
            accuracies.append(ascend(network, passes, sgd, STEEPEST))
            course.step()
            if not is_finite(network):
                raise Diverged(f"ulrl: unlearning diverged in pass {done}; lower unlearning_lr")
            if accuracies[-1] <= self.clean_threshold:
                break
        return network, accuracies


def suspicious(moved: Tensor, threshold: float) -> Tensor:
    """The classes, at most two, whose change stands out among `moved` (K,), in ascending order."""
    median = moved.median()
    spread = 1.4826 * (moved - median).abs().median()
    if not float(spread):
        return torch.zeros(0, dtype=torch.int64, device=moved.device)
    found = torch.nonzero((moved - median) / spread > threshold)[:, 0]
    largest = moved[found].argsort(descending=True, stable=True)[:MOST]
    return found[largest].sort().values


@torch.no_grad()
def _redraw_rows(head: nn.Linear, rows: Tensor, rng: torch.Generator) -> None:
    bound = math.sqrt(2 / head.in_features)
    drawn = (2 * torch.rand(len(rows), head.in_features, generator=rng) - 1) * bound
    head.weight[rows] = drawn.to(head.weight)
    if head.bias is not None:
        head.bias[rows] = 0
