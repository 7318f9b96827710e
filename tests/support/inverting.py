"""A network, a small generator and fixed batches for the methods that invert a trigger by a
generator.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchbd.engine.classifier import Classifier
from benchbd_zoo.defense.bti_dbf import BTIDBF, Inversion, TriggerGenerator
from support.tiny_networks import InPlace, classifier, random_images


class Fixed:
    """Passes that are the same two batches every time, as the reference was given them."""

    def __init__(self) -> None:
        held = random_images(32, seed=1)
        self.images, self.labels = held.images / 255, held.labels

    def once(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self.images.split(16), self.labels.split(16), strict=True)


def victim() -> Classifier:
    model = classifier(InPlace())
    with torch.no_grad():
        model.head.weight.mul_(0.3)
        model.head.bias.mul_(0.3)
    return model


def mixing() -> nn.Module:
    """A generator of twelve weights."""
    net = nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        net.weight.copy_((torch.eye(3) + 0.1)[:, :, None, None])
        net.bias.copy_(torch.tensor([0.1, -0.2, 0.3]))  # type: ignore[union-attr]
    return net


def inversion(method: BTIDBF, net: nn.Module, seed: int) -> Inversion:
    passes: Any = Fixed()
    rng = torch.Generator().manual_seed(seed)
    return Inversion(method, TriggerGenerator(net, victim()), passes, rng)
