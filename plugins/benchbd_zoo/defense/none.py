"""No defense: the backdoored model as it is, measured like a defended one."""

from __future__ import annotations

import torch
from torch import nn

from benchbd.api import CleanSet, Repair


class NoDefense(Repair):
    """Hands the model back unchanged."""

    api = 1

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        return model.eval()
