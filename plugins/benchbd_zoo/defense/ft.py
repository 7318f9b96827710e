"""Fine-tuning: train on the defender's clean images, all weights, and hope that the backdoor is forgotten.

The baseline that every repair must beat.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from benchbd.api import CleanSet, Recipe, Repair, fit, param


class FT(Repair):
    """Plain fine-tuning on all clean images; it chooses nothing, so it needs no validation split."""

    api = 1

    epochs: int = param(20, "passes over the clean images", ge=0)
    batch_size: int = param(128, "images per step", ge=1)
    lr: float = param(0.01, "peak learning rate", gt=0)
    momentum: float = param(0.9, "momentum", ge=0, lt=1)
    weight_decay: float = param(5e-4, "L2 penalty", ge=0)
    schedule: Literal["one_cycle", "cosine", "constant"] = param("cosine", "course of the learning rate")
    horizon: int | None = param(None, "epochs that the schedule spans; unset: the epochs trained", ge=1)
    shift: int = param(1, "random crops: pixels of zero border", ge=0)
    flip: bool = param(False, "mirror half of the images left to right")

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        return fit(model, clean.all(), Recipe.of(self), rng, what="fine-tuning")
