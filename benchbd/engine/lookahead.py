"""Lookahead: during training the weights are drawn back to their own moving average (Zhang et al.
2019, 1907.08610). Later pulls are weaker (Jordan 2024, 2404.00498).
"""

from __future__ import annotations

import torch
from torch import nn

PULL_EVERY_STEPS = 5
"""Steps of the optimizer between two pulls."""

KEPT_SHARE = 0.95**PULL_EVERY_STEPS
"""Share of the average that a pull at the end of training keeps."""


class Lookahead:
    """The moving average of a model's weights. Running statistics of normalisation layers are
    averaged with the weights. Call `step` after every step of the optimizer.
    """

    def __init__(self, model: nn.Module, steps: int) -> None:
        """Start the average at the model's weights. steps: the steps of the whole training; after
        the last one the model is the average.
        """
        self.model, self.steps, self.done = model, steps, 0
        self.slow = {
            name: value.clone()
            for name, value in model.state_dict().items()
            if value.is_floating_point()
        }

    @torch.no_grad()
    def step(self) -> None:
        """Count a step of the optimizer, and pull the weights towards the average after every
        `PULL_EVERY_STEPS` of them.
        """
        self.done += 1
        if self.done % PULL_EVERY_STEPS == 0 and self.done < self.steps:
            self._pull(KEPT_SHARE * (self.done / self.steps) ** 3)
        elif self.done == self.steps:
            self._pull(1.0)

    def _pull(self, kept: float) -> None:
        """Move the average towards the weights, so that it keeps the share `kept` of itself, and
        set the weights to it.
        """
        state = self.model.state_dict()
        for name, slow in self.slow.items():
            state[name].copy_(slow.lerp_(state[name], 1 - kept))
