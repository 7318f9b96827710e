"""Reconstructive Neuron Pruning (Li, Lyu, Ma, Koren, Lyu, Li and Jiang, ICML 2023, 2305.14876).

Unlearn what is clean, and ask which neurons are needed to recover it: those that are not carry the
backdoor.

    1. unlearn: ascend CE over the clean images by SGD, all weights of a copy of the network, pass
       by pass until its accuracy on them is at most `clean_threshold`
    2. recover: freeze that copy; every channel of every normalisation layer gets a mask m in [0,
       1], at first 1;
       m <- m - recovering_lr * grad alpha * CE, clipped to [0, 1]
    3. prune the network that was handed in, that is zero the scale, where m is below a threshold

If step 1 ends without getting there, `unlearned` in the notes says so: masks then have little to
say.

Departs from the paper: the threshold is the largest for which accuracy on the validation split, at
it and at every one before it, stays within `acc_ratio`; reference code chose it by the test
triggers. Departs from its code: no clipping of gradients in step 1, which is called there before
there are any and so has no effect. The authors' code unlearns for one pass more at most.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    CleanSet,
    Descent,
    Diverged,
    Repaired,
    device_of,
    epoch_done,
    hardware,
    param,
    track,
)
from benchbd_zoo.defense.parts.mask_pruning import MaskPruning
from benchbd_zoo.defense.parts.masked_norms import MaskedNorms, descend
from benchbd_zoo.defense.parts.passes import Passes
from benchbd_zoo.defense.parts.unlearning import ascend, is_finite


class RNP(Descent, MaskPruning):
    """Parameters carry the names of the reference implementation."""

    api = 1
    results_version = 2

    alpha: float = param(0.2, "weight of the loss while the masks are learned", gt=0)
    clean_threshold: float = param(
        0.2, "accuracy on the clean images at or below which unlearning ends", ge=0, le=1
    )
    unlearning_lr: float = param(0.01, "learning rate of unlearning", gt=0)
    unlearning_epochs: int = param(20, "passes of unlearning at most", ge=1)
    schedule: tuple[int, ...] = param(
        (10, 20), "passes of unlearning after which its learning rate is divided by ten"
    )
    recovering_lr: float = param(0.2, "learning rate of the masks", gt=0)
    recovering_epochs: int = param(20, "passes in which the masks are learned", ge=1)
    batch_size: int = param(128, "images per step", ge=1)

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Repaired:
        passes = Passes(clean.train, self.batch_size, rng, shift=self.shift, flip=self.flip)
        unlearned, accuracies = self._unlearn(model, passes)
        masks = self._recover(unlearned, passes)
        notes = {
            "unlearned": accuracies[-1] <= self.clean_threshold,
            "unlearning_accuracies": accuracies,
        }
        return self.pruned(model, masks, clean, notes)

    def _unlearn(self, model: nn.Module, passes: Passes) -> tuple[nn.Module, list[float]]:
        """Step 1, and the accuracy in every pass, each batch judged before its step."""
        network = copy.deepcopy(model).train()
        optimizer = torch.optim.SGD(
            network.parameters(),
            lr=self.unlearning_lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )
        course = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(self.schedule))
        accuracies = []
        for epoch in track(range(self.unlearning_epochs), "RNP: unlearning"):
            accuracies.append(ascend(network, passes, optimizer))
            course.step()
            _require_finite(network, epoch + 1)
            if accuracies[-1] <= self.clean_threshold:
                break
        return network, accuracies

    def _recover(self, unlearned: nn.Module, passes: Passes) -> dict[str, Tensor]:
        """Step 2: masks (C,) by layer."""
        masked, machine = MaskedNorms(unlearned), hardware(str(device_of(unlearned)))
        optimizer = torch.optim.SGD(
            masked.masks.values(), lr=self.recovering_lr, momentum=self.momentum
        )
        for epoch in track(range(self.recovering_epochs), "RNP: recovering"):
            for images, labels in passes.once():
                with machine.autocast(images):
                    loss = self.alpha * F.cross_entropy(masked(images).float(), labels)
                descend(masked.masks, loss, optimizer)
            epoch_done(masked, epoch + 1)
        return masked.values()


def _require_finite(network: nn.Module, epoch: int) -> None:
    """Where ascent overflows no mask could be learned."""
    if not is_finite(network):
        raise Diverged(
            f"rnp: unlearning diverged in pass {epoch}: a weight is not a number; lower "
            "unlearning_lr"
        )
