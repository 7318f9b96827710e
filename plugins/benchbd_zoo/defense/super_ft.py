"""Super-fine-tuning (Sha, He, Berrang, Humbert and Zhang, 2022, 2212.09067): large learning rates
forget faster.

The learning rate is a saw that rises from `lr_base` to a peak and falls back, both linearly in
steps:

    phase 1, the first `init_phase_epochs`: the peak is lr_max1, large enough to leave where the
    backdoor was learned phase 2, the rest: the peak is lr_max2, small enough to win the accuracy
    back

    lr(i) = base + (max - base) * r / up                    r = i mod (up + down) < up
            base + (max - base) * (up + down - r) / down    else

Plain SGD without momentum and weight decay, on all weights and all clean images.

Departs from the paper: the numbers are those of its implementation in vtu81/backdoor-toolbox, which
has 20 % of the training set as clean data. With few images phase 1 may end before a saw is
complete; `init_phase_epochs` lengthens it. That implementation takes 128 images per step, and it
sets the rate after a step, so that its saw begins one step later.
"""

from __future__ import annotations

import torch
from torch import nn

from benchbd.api import CleanSet, Descent, Recipe, Repair, fit, param


class SuperFT(Descent, Repair):
    """A schedule and nothing else; it chooses nothing, so it needs no validation split."""

    api = 1
    results_version = 2

    epochs: int = param(100, "passes over the clean images, both phases", ge=0)
    batch_size: int = param(100, "images per step", ge=1)
    lr_base: float = param(0.03, "learning rate between two peaks", gt=0)
    lr_max1: float = param(2.5, "peak of the learning rate in phase 1", gt=0)
    lr_max2: float = param(0.05, "peak of the learning rate in phase 2", gt=0)
    init_phase_epochs: int = param(40, "length of phase 1, in epochs", ge=0)
    increasing_steps: int = param(10, "steps from the base to a peak", ge=1)
    decreasing_steps: int = param(10, "steps from a peak to the base", ge=1)
    momentum: float = param(0.0, "momentum", ge=0, lt=1)
    weight_decay: float = param(0.0, "L2 penalty", ge=0)

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        recipe = Recipe.of(self).model_copy(update={"lr": self.lr_base})

        def course(done: int, steps: int) -> float:
            return self.learning_rate(done, steps) / self.lr_base

        return fit(model, clean.all(), recipe, rng, course=course, what="super-fine-tuning")

    def learning_rate(self, done: int, steps: int) -> float:
        """The learning rate after `done` steps, `steps` of which are an epoch."""
        up, down = self.increasing_steps, self.decreasing_steps
        place = done % (up + down)
        height = place / up if place < up else (up + down - place) / down
        peak = self.lr_max1 if done < self.init_phase_epochs * steps else self.lr_max2
        return self.lr_base + (peak - self.lr_base) * height
