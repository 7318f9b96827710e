"""Isolation: a share of the training samples set apart by a number for each, and the unlearning of
them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import Diverged


def lowest(values: Tensor, share: float) -> Tensor:
    """Which samples (N,) hold the lowest values: the share, rounded, at least one and not all; the
    earlier of equals.
    """
    count = min(max(1, round(share * len(values))), len(values) - 1)
    apart = torch.zeros(len(values), dtype=torch.bool)
    apart[values.argsort(stable=True)[:count]] = True
    return apart


def boundary(suspicion: Tensor, apart: Tensor) -> float:
    """The suspicion above which lies what was set apart: half-way to the next sample.

    Raises `Diverged` where the two are equal, as when a network has collapsed: what was set apart
    is then an accident.
    """
    least, next_to_it = suspicion[apart].min(), suspicion[~apart].max()
    if least == next_to_it:
        raise Diverged(
            f"{int((suspicion == least).sum())} of {len(suspicion)} training samples have the "
            "same suspicion, so that "
            "nothing tells those that are to be set apart from others; a lower learning rate may "
            "keep the network from collapsing"
        )
    return float((least + next_to_it) / 2)


def descent(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy."""
    return F.cross_entropy(model(images).float(), labels)


def ascent(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """A loss whose descent is the ascent of cross-entropy."""
    return -descent(model, images, labels)
