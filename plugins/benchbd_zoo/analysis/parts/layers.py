"""What the layers of a network give out, one vector an image: a vector for the end of every stage,
and the penultimate features.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchbd.api import Classifier, features, watching_outputs
from benchbd_zoo.defense.parts.attention import stages

FEATURES = "features"
"""Stands for the penultimate features among the names of layers."""


def layer_means(model: Classifier, images: Tensor) -> dict[str, Tensor]:
    """Return for the end of every stage, by its name and in the order in which they run, the mean
    of each channel over its places (N, C), and last, by `FEATURES`, the penultimate features
    (N, D); float32 on the CPU. images: uint8 (N, C, H, W).
    """
    seen: dict[str, list[Tensor]] = {}

    def record(layer: str, output: Tensor) -> None:
        seen.setdefault(layer, []).append(output.float().mean((2, 3)).cpu())

    with watching_outputs(model, list(stages(model, images[:1])), record):
        last = features(model, images)
    return {layer: torch.cat(parts) for layer, parts in seen.items()} | {FEATURES: last}
