"""No attack at all: the yardstick for false alarms and for what a repair costs a healthy model."""

from __future__ import annotations

import torch
from torch import Tensor

from benchbd.api import PoisoningAttack, param


class Clean(PoisoningAttack):
    """Nothing is poisoned and nothing is stamped: ASR is how often other classes are mistaken for
    the target.
    """

    api = 1

    poison_ratio: float = param(0.0, "share of the samples that are poisoned: none", ge=0, le=0)

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return images
