"""A split for data sets that have none of their own, drawn once and for all."""

from __future__ import annotations

import torch
from torch import Tensor

SPLIT_SEED = 0


def held_out(labels: Tensor, share: float) -> Tensor:
    """Which samples (N,) bool are test samples: the given share of every class, rounded, for labels
    (N,).
    """
    rng = torch.Generator().manual_seed(SPLIT_SEED)
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(int(labels.max()) + 1):
        members = torch.nonzero(labels == label)[:, 0]
        chosen[
            members[torch.randperm(len(members), generator=rng)[: round(share * len(members))]]
        ] = True
    return chosen
