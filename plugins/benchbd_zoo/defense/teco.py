"""TeCo (Liu, Li, Wang, Hu, Ye, Jin, Wu and Xiao, CVPR 2023, 2303.18191): a trigger stands one
corruption, not another.

    1. every input is corrupted in 15 ways at 5 severities, from mild to strong, each corruption
       laid over all those before it
    2. for each corruption: the first severity, 1 to 5, at which the predicted class is not that of
       the input as it came; 6 if there is none
    3. a large standard deviation of these 15 numbers is suspicious

Hard labels are all that it reads. Corruptions are computed where the network is, for whole batches.

Departs from the paper: corruptions pile up, 75 of them, in the order of the list, as in the
authors' code, from which the published figures come; the abstract of the paper names no such pile.
The corruptions are as strong as those of the package that paper and code use, by formulas of their
own, which `corruption` states. Their random parts are drawn once for each of the 75 and are the
same for all inputs, so that a score depends on its input alone; the authors draw them anew for
every image.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, InputDetector, Scorer, batched, device_of, eval_mode, param
from benchbd_zoo.defense.parts.corruption import SEVERITIES, Corruption, Fields, corrupted, drawn

WORST = 5


class TeCo(InputDetector):
    """Takes 76 passes."""

    api = 1
    results_version = 2

    at_once: int = param(
        256, "images that are corrupted together; bounds memory, not results", ge=1
    )

    def fit(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Scorer:
        shape, device = tuple(clean.train.images.shape[1:]), device_of(model)
        fields = {
            corruption: [drawn(shape, rng, device) for _ in range(WORST)]
            for corruption in SEVERITIES
        }
        return _Consistency(model, fields, self.at_once)


class _Consistency:
    """Draws nothing of its own."""

    def __init__(
        self, model: nn.Module, fields: dict[Corruption, list[Fields]], at_once: int
    ) -> None:
        self.model, self.fields, self.at_once = model, fields, at_once

    def score(self, images: Tensor) -> Tensor:
        with eval_mode(self.model):
            severities = batched(self._endured, images, device_of(self.model), batch=self.at_once)
        return severities.std(1, correction=0)

    def _endured(self, images: Tensor) -> Tensor:
        """The severities (B, 15) at which images (B, C, H, W) change their class."""
        given = self.model(images).argmax(1)
        found = []
        for corruption, layers in self.fields.items():
            changed = []
            for severity, fields in enumerate(layers, start=1):
                images = corrupted(corruption, severity, images, fields)
                changed.append(self.model(images).argmax(1) != given)
            found.append(first_change(torch.stack(changed)))
        return torch.stack(found, 1)


def first_change(changed: Tensor) -> Tensor:
    """The first severity, from 1, at which each of (severities, B) bool is true; one more than
    there are if at none.
    """
    return (changed.cumsum(0) == 0).sum(0) + 1
