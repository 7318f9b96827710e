"""Networks and images that any program can make again from whole numbers, so that code of others
can be run on the very same inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.engine.classifier import Classifier
from support.tiny_networks import CLASSES, Network, Wide


def images_by_formula(count: int, side: int = 6) -> ImageSet:
    """Colour images: value k of them all is (7 k^2 + 13 k) mod 251, and label i is i mod 4."""
    pixels = _quadratic(count * 3 * side * side, 13) % 251
    return ImageSet(
        pixels.reshape(count, 3, side, side).to(torch.uint8),
        torch.arange(count) % CLASSES,
        ("ant", "bee", "cat", "dog"),
    )


def in_batches(images: ImageSet, size: int) -> list[tuple[Tensor, Tensor]]:
    """Pixels (size, 3, side, side) in [0, 1] and labels (size,), in order."""
    return list(zip((images.images / 255).split(size), images.labels.split(size), strict=True))


def wide_by_formula(offset: int = 0) -> Classifier:
    """One convolution, one BatchNorm of sixteen channels and a head; another `offset` gives another
    network.
    """
    return network_by_formula(Wide(), width=16, offset=offset)


def network_by_formula(body: nn.Module, width: int, offset: int = 0) -> Classifier:
    """A classifier in eval mode that leaves pixels in [0, 1] as they are.

    Tensor i of its state dict has at place k the value s = ((7 k^2 + (13 + offset + i) k) mod 101
    - 50) / 100; scales of a BatchNorm are 1 + s, and its running variances 0.35 + s / 2.
    """
    model = Classifier(Network(body, width), (0.0,) * 3, (1.0,) * 3).eval()
    for place, (name, value) in enumerate(model.network.state_dict().items()):
        if value.is_floating_point():
            spread = (_quadratic(value.numel(), 13 + offset + place) % 101 - 50) / 100
            value.copy_(_fitting(name, spread).reshape(value.shape))
    return model


def _quadratic(count: int, slope: int) -> Tensor:
    places = torch.arange(count)
    return 7 * places**2 + slope * places


def _fitting(name: str, spread: Tensor) -> Tensor:
    """Values near one for scales, above zero for variances."""
    if name.endswith("running_var"):
        return 0.35 + spread / 2
    return 1 + spread if name.endswith("norm.weight") else spread
