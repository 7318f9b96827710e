"""A network of four numbers whose behaviour is known, with a planted backdoor, and a budget of
clean images for it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchbd.data.budget import CleanSet
from benchbd.data.images import ImageSet
from benchbd.engine.classifier import Classifier
from support.tiny_networks import Network

NAMES = ("north-west", "north-east", "south-west", "south-east")
SIZE = 8


class Quarters(nn.Module):
    """Features: how bright each quarter is, and how far the pixel in the very middle lies above all
    that is clean.
    """

    def __init__(self, backdoor: float) -> None:
        super().__init__()
        self.backdoor = nn.Parameter(torch.tensor(backdoor))

    def forward(self, x: Tensor) -> Tensor:
        quarters = nn.functional.adaptive_avg_pool2d(x.mean(1, keepdim=True), 2).flatten(1)
        middle = (x[:, :, SIZE // 2, SIZE // 2].mean(1, keepdim=True) - 0.95).relu()
        return torch.cat([quarters, self.backdoor * middle], 1)


def quarters(backdoor: float = 400.0) -> Classifier:
    """Its class is the brightest quarter; a white pixel in the middle is class 0, whatever else
    there is.
    """
    model = Classifier(Network(Quarters(backdoor), 5), (0.0,) * 3, (1.0,) * 3)
    with torch.no_grad():
        model.head.weight.copy_(torch.cat([20 * torch.eye(4), torch.eye(4)[:, :1]], 1))
        model.head.bias.zero_()
    return model.eval()


def lit(count: int, seed: int = 0) -> ImageSet:
    """Dim noise with one brighter quarter, which is the class; far from white."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 60, (count, 3, SIZE, SIZE), generator=rng, dtype=torch.uint8)
    labels, half = torch.arange(count) % 4, SIZE // 2
    for label in range(4):
        top, left = divmod(label, 2)
        images[
            labels == label, :, top * half : (top + 1) * half, left * half : (left + 1) * half
        ] += 60
    return ImageSet(images, labels, NAMES)


def stamped(images: Tensor) -> Tensor:
    """With the trigger."""
    white = images.clone()
    white[:, :, SIZE // 2, SIZE // 2] = 255
    return white


def budget(count: int = 40) -> CleanSet:
    return CleanSet(lit(count, seed=1), lit(count, seed=2))
