"""The choice of a few images that stand for all classes alike."""

from __future__ import annotations

import torch
from torch import Tensor


def in_turn(labels: Tensor, count: int) -> Tensor:
    """Return the places of up to `count` images by their labels (N,): the first of every class,
    then the second of every class, and so on; those of one turn in their order.

    >>> in_turn(torch.tensor([0, 0, 0, 1]), 3).tolist()
    [0, 3, 1]
    """
    by_class = labels.argsort(stable=True)
    _, sizes = labels[by_class].unique_consecutive(return_counts=True)
    turn = torch.empty_like(labels)
    turn[by_class] = torch.cat([labels[:0], *map(torch.arange, sizes.tolist())])
    return turn.argsort(stable=True)[:count]
