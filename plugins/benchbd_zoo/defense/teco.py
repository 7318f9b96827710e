"""TeCo (Liu, Li, Wang, Hu, Ye, Jin, Wu and Xiao, CVPR 2023, 2303.18191): a trigger stands one
corruption, not another.

    1. every input is corrupted in 15 ways at 5 severities, each time from the original
    2. for each corruption: the first severity, 1 to 5, at which the predicted class changes; 6 if
       it never does
    3. a large standard deviation of these 15 numbers is suspicious: clean inputs give way to all of
       them alike

Hard labels are all that it reads. Corruptions are computed where the network is, for whole batches.

Departs from the paper: the 15 corruptions have the names of those of the paper's benchmark and
formulas of their own, which `corruption` states; their random parts are drawn once. Several are
weaker than those of the package that paper and reference use: defocus has a radius of 0.64 to 3.2
pixels, there 3 to 10. The reference lays every corruption over those before it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, InputDetector, Scorer, batched, device_of, eval_mode, param
from benchbd_zoo.defense.parts.corruption import SEVERITIES, Fields, corrupted, drawn

WORST = 5


class TeCo(InputDetector):
    """Takes 76 passes."""

    api = 1

    at_once: int = param(
        256, "images that are corrupted together; bounds memory, not results", ge=1
    )

    def fit(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Scorer:
        fields = drawn(tuple(clean.train.images.shape[1:]), rng, device_of(model))
        return _Consistency(model, fields, self.at_once)


class _Consistency:
    """Draws nothing of its own."""

    def __init__(self, model: nn.Module, fields: Fields, at_once: int) -> None:
        self.model, self.fields, self.at_once = model, fields, at_once

    def score(self, images: Tensor) -> Tensor:
        with eval_mode(self.model):
            severities = batched(self._endured, images, device_of(self.model), batch=self.at_once)
        return severities.std(1, correction=0)

    def _endured(self, images: Tensor) -> Tensor:
        """The severities (B, 15) at which images (B, C, H, W) change their class."""
        given = self.model(images).argmax(1)
        found = []
        for corruption in SEVERITIES:
            steps = (
                corrupted(corruption, severity, images, self.fields)
                for severity in range(1, WORST + 1)
            )
            found.append(
                first_change(torch.stack([self.model(step).argmax(1) != given for step in steps]))
            )
        return torch.stack(found, 1)


def first_change(changed: Tensor) -> Tensor:
    """The first severity, from 1, at which each of (severities, B) bool is true; one more than
    there are if at none.
    """
    return (changed.cumsum(0) == 0).sum(0) + 1
