"""Fine-tuning from a new head: draw the classifier anew, then train all weights on clean images.

The head that the backdoor was learned with is gone, so the features have to move before they serve it again
(mode `ft-init` of Min et al., NeurIPS 2023, 2310.01875; what `fst` adds is a push away from the old head).

    1. draw weights and bias of the head from U(-b, b), b = 1 / sqrt(fan_in)
    2. descend the cross-entropy over all weights

Departs from the paper: nothing. The authors' code also rescales the head in this mode; the paper does not.
"""

from __future__ import annotations

import torch
from torch import nn

from benchbd.api import CleanSet, Recipe, fit
from benchbd_zoo.defense.tuning import Tuning, head_of, redraw


class FTInit(Tuning):
    """The new head is drawn from the generator of the defense."""

    api = 1

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        redraw(head_of(model), rng)
        return fit(model, clean.all(), Recipe.of(self), rng, what="fine-tuning from a new head")
