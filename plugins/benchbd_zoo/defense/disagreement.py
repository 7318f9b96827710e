"""The disagreement of a backdoored model with its repaired copy, the detector that goes with the
pruning exercise of courses.

    f   the backdoored model, f' the same model repaired
    g(x) = f(x)   where f(x) = f'(x)
    g(x) = N      elsewhere: one class more than there are, for inputs with a trigger

The combined model g keeps the accuracy of both where they agree, and takes from the attacker every
input on which the repair made a difference. A repair that costs accuracy costs it here too, for
what it gets wrong is turned away.

Class N is stored as every input is that was turned away. Departs from the exercise: any repair will
do, not only pruning.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from benchbd.api import (
    Classifier,
    CleanSet,
    ConfigError,
    InputDetector,
    Repair,
    Repaired,
    Scorer,
    create,
    param,
    predict,
)


class Disagreement(InputDetector):
    """Turns an input away when the two models give it different classes; `fpr` has no say, for
    there is nothing to choose.
    """

    api = 1

    repair: str = param("fine_prune", "the repair that makes the second model")
    options: dict[str, Any] = param(
        {"epochs": 0}, "parameters of that repair, such as {layer: conv_3, epochs: 0}"
    )

    def fit(self, model: Classifier, clean: CleanSet, rng: torch.Generator) -> Scorer:
        repair = create("defense", self.repair, self.options)
        if not isinstance(repair, Repair):
            raise ConfigError(
                "disagreement: expected repair to be a defense that repairs the model, got "
                f"{self.repair!r}"
            )
        answer = repair.repair(copy.deepcopy(model), clean, rng)
        return _Pair(model, answer.model if isinstance(answer, Repaired) else answer)

    def threshold(self, validation: Tensor) -> float:
        """Between 0 for agreement and 1 for disagreement."""
        return 0.5


class _Pair:
    """The backdoored model and the repaired one."""

    def __init__(self, backdoored: nn.Module, repaired: nn.Module) -> None:
        self.models = (backdoored, repaired)

    def score(self, images: Tensor) -> Tensor:
        first, second = (predict(model, images) for model in self.models)
        return (first != second).float()
