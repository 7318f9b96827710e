"""Isolation: a share of the training samples set apart by a number for each, and the unlearning of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def lowest(values: Tensor, share: float) -> Tensor:
    """Which samples (N,) hold the lowest values: the share, rounded, at least one and not all; the earlier of equals."""
    count = min(max(1, round(share * len(values))), len(values) - 1)
    apart = torch.zeros(len(values), dtype=torch.bool)
    apart[values.argsort(stable=True)[:count]] = True
    return apart


def boundary(suspicion: Tensor, apart: Tensor) -> float:
    """The suspicion above which lies what was set apart: half-way to the next sample."""
    return float((suspicion[apart].min() + suspicion[~apart].max()) / 2)


def ascent(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """A loss whose descent is the ascent of cross-entropy."""
    return -F.cross_entropy(model(images).float(), labels)
