"""Pruning by learned masks: the sweep over thresholds or numbers, and the choice on the validation
split.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from torch import Tensor, nn

from benchbd.api import (
    CleanSet,
    PruningPath,
    Repair,
    Repaired,
    Sweep,
    last_within,
    param,
    path_by_number,
    path_by_threshold,
    sweep_accuracies,
)


class MaskPruning(Repair):
    """Base of the repairs that learn a mask for every channel and zero the scale of those with a
    small one.

    The threshold is the largest for which accuracy on the validation split, at it and at every one
    before it, stays within `acc_ratio`. The sweep begins with 0, at which nothing is pruned.
    """

    pruning_by: Literal["threshold", "number"] = param(
        "threshold", "prune by mask value, or by count of channels"
    )
    pruning_max: float = param(
        0.90, "end of the sweep: a threshold, or a share of all channels", gt=0, le=1
    )
    pruning_step: float = param(0.05, "step of the sweep, in the same unit", gt=0, le=1)
    pruning_number: float | None = param(
        None,
        "fixed threshold, or fixed number of channels; unset: chosen on the validation split",
        ge=0,
    )
    acc_ratio: float = param(
        0.1, "clean accuracy that may be lost, relative to that before pruning", ge=0, le=1
    )

    def pruned(
        self, model: nn.Module, masks: dict[str, Tensor], clean: CleanSet, notes: dict[str, Any]
    ) -> Repaired:
        """`model` with the channels zeroed whose mask is small, by the chosen step of the sweep;
        `masks` gives (C,) per layer.
        """
        path = self.path(masks)
        accuracies = sweep_accuracies(model, path, clean.validation, what=f"{self.name}: sweep")
        chosen = self.choose(path, accuracies)
        return Repaired(
            path.at(model, chosen),
            sweep=Sweep(path, accuracies, chosen),
            notes={
                "pruned": path.cuts[chosen],
                "of": len(path.units),
                path.axis: path.values[chosen],
            }
            | notes,
            tensors={f"mask.{layer}": mask for layer, mask in masks.items()},
        )

    def path(self, masks: dict[str, Tensor]) -> PruningPath:
        """All thresholds, or numbers, that are tried; a fixed one is among them."""
        steps = math.floor(self.pruning_max / self.pruning_step + 1e-9)
        sweep = {round(i * self.pruning_step, 10) for i in range(steps + 1)}
        fixed = set() if self.pruning_number is None else {self.pruning_number}
        if self.pruning_by == "threshold":
            return path_by_threshold(masks, sorted(sweep | fixed), "scale")
        total = sum(len(mask) for mask in masks.values())
        numbers = {round(share * total) for share in sweep} | {int(number) for number in fixed}
        return path_by_number(masks, sorted(numbers), "scale")

    def choose(self, path: PruningPath, accuracies: tuple[float, ...]) -> int:
        """The fixed step, or the last before validation accuracy first falls below what `acc_ratio`
        allows.
        """
        fixed = self.pruning_number
        if fixed is None:
            return last_within(accuracies, (1 - self.acc_ratio) * accuracies[0])
        return min(range(len(path)), key=lambda step: abs(path.values[step] - fixed))
