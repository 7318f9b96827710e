"""Channels whose score stands out in their layer: the rule and the sweep of pruning by u standard
deviations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from pydantic import BaseModel
from torch import Tensor

from benchbd.api import PruningPath, param, path_by_number


class OutlierRule(BaseModel):
    """Parameters of a pruning that takes channel k of a layer if score(k) > mean + u * (standard
    deviation in the layer).
    """

    u: float = param(
        3.0, "standard deviations above the layer's mean from which on a channel is pruned", ge=0
    )
    u_min: float = param(0.0, "smallest u of the sweep, which prunes most", ge=0)
    u_max: float = param(10.0, "largest u of the sweep", ge=0)
    u_num: int = param(21, "values of u in the sweep; that of u itself is added", ge=1)

    def sweep_over_u(
        self, scores: dict[str, Tensor], where: Literal["scale", "output"]
    ) -> tuple[PruningPath, int]:
        """The path from the largest u down, and its step at which u is `u`; `scores` gives (C,) per
        layer.
        """
        grid = torch.linspace(self.u_min, self.u_max, self.u_num, dtype=torch.float64).tolist()
        values = sorted({round(value, 10) for value in grid} | {self.u}, reverse=True)
        return path_over_u(scores, values, where), values.index(self.u)


def path_over_u(
    scores: dict[str, Tensor], values: Sequence[float], where: Literal["scale", "output"]
) -> PruningPath:
    """Prune every channel that stands out by more than u, for each u of the descending `values`."""
    distances = {layer: standing_out(score) for layer, score in scores.items()}
    everywhere = torch.cat(list(distances.values()))
    numbers = [int((everywhere > u).sum()) for u in values]
    path = path_by_number(
        {layer: -distance for layer, distance in distances.items()}, numbers, where
    )
    return replace(path, axis="u", values=tuple(values))


def standing_out(scores: Tensor) -> Tensor:
    """By how many (unbiased) standard deviations each score (C,) lies above the mean of its layer,
    float64.

    A score that is not finite is left out, and so is a layer without spread: nothing there stands
    out.
    """
    scores = scores.detach().cpu().double()
    finite = scores.isfinite()
    rest = scores[finite]
    spread = float(rest.std()) if len(rest) > 1 else 0.0
    if not spread:
        return torch.full_like(scores, -math.inf)
    return torch.where(finite, (scores - rest.mean()) / spread, -math.inf)
