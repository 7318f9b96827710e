"""Adversarial Neuron Pruning (Wu and Wang, NeurIPS 2021, 2110.14430).

Neurons that carry a backdoor are those that react most to adversarial changes of their weights.

    1. every channel of every normalisation layer gets a mask m in [0, 1], at first 1
    2. d, xi ~ U(-eps, eps); `anp_steps` times: d, xi <- d, xi + (eps / steps) * sign(grad CE)
       with scale * (m + d) and shift * (1 + xi)                      perturbed network
    3. m <- m - lr * grad [alpha * CE(clean) + (1 - alpha) * CE(perturbed)], clipped to [0, 1]
    4. after `nb_iter` rounds: prune, that is zero the scale, where m is below a threshold

The network stays in training mode while the masks are learned, so running statistics of the copy
move; what is pruned is the network that was handed in. As in the paper's code d and xi are not
projected back.

Departs from the paper: the threshold is the largest for which accuracy on the validation split, at
it and at every one before it, stays within `acc_ratio`; reference code chose it by the test
triggers. The sweep begins with the threshold 0, at which nothing is pruned. Layers other than
BatchNorm with a scale (LayerNorm, GroupNorm) are masked in the same way.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    Augmentation,
    Batches,
    CleanSet,
    Repaired,
    device_of,
    epoch_done,
    fork,
    hardware,
    param,
    to_float,
    track,
)
from benchbd_zoo.defense.parts.mask_pruning import MaskPruning
from benchbd_zoo.defense.parts.masked_norms import NoisyNorms, descend


class ANP(Augmentation, MaskPruning):
    """Parameters carry the names of the reference implementation."""

    api = 1

    anp_eps: float = param(0.4, "size of the perturbation, relative to each weight", ge=0)
    anp_steps: int = param(1, "steps of the perturbation", ge=1)
    anp_alpha: float = param(0.2, "weight of the loss on the unperturbed network", ge=0, le=1)
    lr: float = param(0.2, "learning rate of the masks", gt=0)
    momentum: float = param(0.9, "momentum of the masks", ge=0, lt=1)
    nb_iter: int = param(2000, "mask updates, one batch each", ge=1)
    batch_size: int = param(128, "images per update, drawn with replacement", ge=1)
    print_every: int = param(
        500, "updates between two lines of the log, and two points of the curve along the way", ge=1
    )

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Repaired:
        masks, log = self._learn_masks(model, clean, rng)
        return self.pruned(model, masks, clean, {"log": log})

    def _learn_masks(
        self, model: nn.Module, clean: CleanSet, rng: torch.Generator
    ) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
        """Masks (C,) per layer after `nb_iter` rounds, and a line of the log every
        `print_every`.
        """
        masked = NoisyNorms(model)
        machine = hardware(str(device_of(model)))
        draws, crops = fork(rng), fork(rng)
        batches = Batches(clean.train.images, clean.train.labels, shift=self.shift, flip=self.flip)
        optimizer = torch.optim.SGD(masked.masks.values(), lr=self.lr, momentum=self.momentum)
        log = []
        for iteration in track(range(1, self.nb_iter + 1), "ANP: learning masks"):
            drawn = torch.randint(0, len(clean.train), (self.batch_size,), generator=draws)
            images, labels = batches.take(drawn, crops)
            with machine.autocast(images):
                loss = self._update(masked, optimizer, to_float(images), labels, draws)
            if iteration % self.print_every == 0:
                log.append({"iteration": iteration, "loss": float(loss)})
                epoch_done(masked, iteration)
        return masked.values(), log

    def _update(
        self,
        masked: NoisyNorms,
        optimizer: torch.optim.Optimizer,
        images: Tensor,
        labels: Tensor,
        rng: torch.Generator,
    ) -> Tensor:
        """Steps 2 and 3."""
        masked.draw_noise(self.anp_eps, rng)
        for _ in range(self.anp_steps if self.anp_eps else 0):
            masked.climb(
                F.cross_entropy(masked.perturbed(images).float(), labels),
                self.anp_eps / self.anp_steps,
            )
        perturbed = F.cross_entropy(masked.perturbed(images).float(), labels)
        natural = F.cross_entropy(masked(images).float(), labels)
        loss = self.anp_alpha * natural + (1 - self.anp_alpha) * perturbed
        descend(masked.masks, loss, optimizer)
        return loss.detach()
