"""The network of airbench (Jordan 2024, 2404.00498): six convolutions behind a layer that whitens
patches of 2x2 pixels.

    whitening, GELU - three groups - largest value of each channel, divided by 9 - head
    group: conv, pool, BatchNorm, GELU, conv, BatchNorm, GELU

The filters of the first layer are the principal directions of patches of the training images, each
divided by its standard deviation, and their negatives; they are not learned, and neither are the
scales of BatchNorm. Every other convolution begins by passing its input on, in as many of its
channels as that has, and at random in the others.

Departs from the source: the bias of the first layer is learned throughout, not for three epochs;
BatchNorm keeps torch's epsilon; the head has a bias.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import Classifier, ImageSet, ImageShape, Model, NotApplicable, param, to_float

PATCH = 2
"""Side of the patches that are whitened."""

SMALLEST = 8 + PATCH - 1
"""Side of an image that survives three halvings behind the first layer."""

SAMPLE = 5000
"""Training images whose patches are looked at, as in the source."""

TOGETHER = 50
"""Images whose patches are in memory at a time."""

SMOOTHING = 5e-4
"""Added to the variances, so that directions in which patches hardly differ are not blown up."""

SHRINK = 1 / 9
"""Factor of the features, and so of the logits."""


class Airbench(Model):
    """For small images, from 9 pixels; at its default width 1.97 million weights, and 0.118 billion
    multiplications for an image of 32 pixels.
    """

    api = 1

    width: int = param(
        64, "channels of the first group; the two others have four times as many", ge=1, le=512
    )

    def build(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
        if min(image_shape[1:]) < SMALLEST:
            raise NotApplicable(
                f"airbench needs images of at least {SMALLEST} pixels, these have {image_shape[1:]}"
            )
        return _Network(image_shape[0], self.width, num_classes)

    def adapt(self, model: Classifier, train: ImageSet) -> None:
        """Whiten the patches of images that lie all over the training set."""
        chosen = torch.arange(0, len(train), max(1, len(train) // SAMPLE))[:SAMPLE]
        found = [
            covariance((to_float(train.images[part]) - model.mean) / model.std) * len(part)
            for part in chosen.split(TOGETHER)
        ]
        filters = whitening(torch.stack(found).sum(0) / len(chosen))
        model.get_parameter("network.whiten.weight").copy_(filters)


class _Network(nn.Module):
    def __init__(self, channels: int, width: int, num_classes: int) -> None:
        super().__init__()
        filters = 2 * channels * PATCH**2
        self.whiten = nn.Conv2d(channels, filters, PATCH)
        nn.init.zeros_(self.whiten.bias)  # type: ignore[arg-type]
        self.whiten.weight.requires_grad_(False)
        self.groups = nn.Sequential(
            nn.GELU(),
            _Group(filters, width),
            _Group(width, 4 * width),
            _Group(4 * width, 4 * width),
        )
        self.head = nn.Linear(4 * width, num_classes)

    def features(self, images: Tensor) -> Tensor:
        return self.groups(self.whiten(images)).amax((2, 3)) * SHRINK  # type: ignore[no-any-return]


class _Group(nn.Sequential):
    """(B, C, H, W) -> (B, K, H / 2, W / 2)"""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(
            _passing_on(inside, outside),
            nn.MaxPool2d(2),
            _norm(outside),
            nn.GELU(),
            _passing_on(outside, outside),
            _norm(outside),
            nn.GELU(),
        )


def _passing_on(inside: int, outside: int) -> nn.Conv2d:
    convolution = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
    nn.init.dirac_(convolution.weight.data[:inside])
    return convolution


def _norm(channels: int) -> nn.BatchNorm2d:
    """Its running statistics follow the weights quickly, as trainings of few epochs need."""
    norm = nn.BatchNorm2d(channels, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm


def covariance(images: Tensor) -> Tensor:
    """Mean product (C K K, C K K) float64 of any two values of a patch, K its side, over all
    patches of normalised images (N, C, H, W).
    """
    patches = F.unfold(images, PATCH).transpose(0, 1).flatten(1).double()
    return patches @ patches.T / patches.shape[1]


def whitening(covariance: Tensor) -> Tensor:
    """Filters (2 C K K, C, K, K) whose outputs are uncorrelated and of variance 1 over patches of
    such a covariance (C K K, C K K), each filter with either sign.
    """
    variances, directions = torch.linalg.eigh(covariance)
    rows = (directions / (variances + SMOOTHING).sqrt()).T.flip(0)
    filters = rows.reshape(len(rows), -1, PATCH, PATCH)
    return torch.cat((filters, -filters)).float()
