"""Unlearning what is clean: ascending the loss on clean images, all weights of a network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import device_of, hardware
from benchbd_zoo.defense.parts.passes import Passes


def ascend(
    network: nn.Module,
    passes: Passes,
    optimizer: torch.optim.Optimizer,
    most: float | None = None,
) -> float:
    """Ascend the cross-entropy over one pass; the accuracy in it, each batch judged before its
    step.

    network: in the mode in which it is to run. most: norm to which the gradient of a step is
    shortened, if any.
    """
    machine = hardware(str(device_of(network)))
    hits: list[Tensor] = []
    for images, labels in passes.once():
        with machine.autocast(images):
            logits = network(images).float()
        hits.append((logits.argmax(1) == labels).float())
        optimizer.zero_grad()
        (-F.cross_entropy(logits, labels)).backward()
        if most is not None:
            nn.utils.clip_grad_norm_(network.parameters(), most)
        optimizer.step()
    return float(torch.cat(hits).mean())


def is_finite(network: nn.Module) -> bool:
    """Whether every weight is a number; ascent knows no end, and may overflow."""
    return all(bool(value.isfinite().all()) for value in network.parameters())
