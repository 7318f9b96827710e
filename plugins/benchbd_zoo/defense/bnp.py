"""BNP, pruning by mismatched BatchNorm statistics (Zheng, Tang, Li and Liu, NeurIPS 2022,
"Pre-activation Distributions Expose Backdoor Neurons").

Running statistics were gathered on poisoned data. Where clean images give others, a channel has
reacted to the trigger.

    1. mu_b(k), v_b(k) = mean and variance of what enters channel k of a BatchNorm, over clean
       images and all places
    2. D(k) = log(s_run / s_b) + (v_b + (mu_b - mu_run)^2) / (2 v_run) - 1/2
           Kullback-Leibler, two Gaussians
    3. prune k, that is zero its scale, if D(k) > mean(D) + u * std(D) over the channels of its
       layer

u is fixed; the validation split shows accuracy along the sweep over u and takes part in nothing
else.

Departs from the paper: the BatchNorm's own eps is added to both variances, so that a channel which
is the same for every image has a divergence; all clean training images are read, not one batch of
them.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, Repair, Repaired, Sweep, sweep_accuracies
from benchbd_zoo.defense.parts.outliers import OutlierRule
from benchbd_zoo.defense.parts.preactivations import batch_norms, moments


class BNP(OutlierRule, Repair):
    """One pass over the clean images."""

    api = 1

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Repaired:
        layers = batch_norms(model)
        found = moments(model, layers, clean.train.images, "BNP: statistics")
        scores = {
            layer: divergence(layers[layer], mean, variance)
            for layer, (mean, variance) in found.items()
        }
        path, chosen = self.sweep_over_u(scores, "scale")
        accuracies = sweep_accuracies(model, path, clean.validation, what="BNP: sweep")
        return Repaired(
            path.at(model, chosen),
            sweep=Sweep(path, accuracies, chosen),
            notes={"pruned": path.cuts[chosen], "of": len(path.units), "u": self.u},
            tensors={f"divergence.{layer}": values for layer, values in scores.items()},
        )


def divergence(norm: nn.Module, mean: Tensor, variance: Tensor) -> Tensor:
    """D (C,) of clean statistics from the running ones of a BatchNorm, float64."""
    eps = cast(float, norm.eps)
    running_mean = norm.get_buffer("running_mean").cpu().double()
    running, clean = norm.get_buffer("running_var").cpu().double() + eps, variance + eps
    return (
        (running / clean).log() / 2 + (clean + (mean - running_mean).square()) / (2 * running) - 0.5
    )
