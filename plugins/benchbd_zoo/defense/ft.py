"""Fine-tuning: train on the defender's clean images, all weights, and hope that the backdoor is
forgotten.

The baseline that every repair must beat.
"""

from __future__ import annotations

import torch
from torch import nn

from benchbd.api import CleanSet, Recipe, fit, param
from benchbd_zoo.defense.parts.tuning import Tuning


class FT(Tuning):
    """Plain fine-tuning on all clean images; it chooses nothing, so it needs no
    validation split.
    """

    api = 1
    results_version = 2

    horizon: int | None = param(
        None, "epochs that the schedule spans; unset: the epochs trained", ge=1
    )

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        return fit(model, clean.all(), Recipe.of(self), rng, what="fine-tuning")
