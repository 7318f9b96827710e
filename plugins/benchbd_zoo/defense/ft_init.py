"""Fine-tuning from a new head: draw the classifier anew, then train all weights on clean images.

The head that the backdoor was learned with is gone, so the features have to move before they serve
it again (mode `ft-init` of Min et al., NeurIPS 2023, 2310.01875; what `fst` adds is a push away
from the old head).

    1. draw weights and bias of the head from U(-b, b), b = 1 / sqrt(fan_in)
    2. descend the cross-entropy over all weights

Departs from the paper: a clean set of less than `epoch_images`, the size in the paper, is passed
several times in an epoch. The authors' code also rescales the head in this mode; the paper does
not.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from benchbd.api import CleanSet, Recipe, fit, param
from benchbd_zoo.defense.parts.tuning import Tuning, epoch_of, head_of, redraw


class FTInit(Tuning):
    """The new head is drawn from the generator of the defense."""

    api = 1
    quick: ClassVar[dict[str, Any]] = {"epoch_images": 1}

    epoch_images: int = param(
        1000, "images of an epoch at least; a smaller clean set is passed several times in it", ge=1
    )

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        redraw(head_of(model), rng)
        return fit(
            model,
            epoch_of(clean.all(), self.epoch_images),
            Recipe.of(self),
            rng,
            what="fine-tuning from a new head",
        )
