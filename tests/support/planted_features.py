"""A latent space to order: images whose pixels are the features, and a model that hands them
through.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchbd.data.budget import CleanSet
from benchbd.data.images import ImageSet
from benchbd.engine.classifier import Classifier
from support.tiny_networks import Network

UNIT = 12
"""Levels of a pixel for a feature of 1, which stands for one standard deviation."""

NAMES = ("ant", "bee", "cat", "dog")


def reader(width: int) -> Classifier:
    """Its penultimate features are the pixels."""
    return Classifier(Network(nn.Flatten(), width), (0.0,), (1.0,)).eval()


def pictured(features: Tensor, labels: Tensor) -> ImageSet:
    """Images (N, 1, 1, D) that `reader` takes for `features` (N, D), but for scale and rounding."""
    pixels = (128 + UNIT * features).round().clamp(0, 255).to(torch.uint8)
    return ImageSet(pixels[:, None, None], labels, NAMES)


def planted(
    sizes: tuple[int, ...] = (60, 80, 80, 80),
    poison: int = 20,
    shift: float = 6.0,
    width: int = 12,
    seed: int = 0,
) -> tuple[ImageSet, Tensor]:
    """Normal features around a centre for each class, and which samples (N,) are poison.

    `poison` more samples are labelled 0; they lie `shift` away from that class along the last
    feature.
    """
    rng = torch.Generator().manual_seed(seed)
    labels = torch.cat(
        [
            torch.arange(4).repeat_interleave(torch.tensor(sizes)),
            torch.zeros(poison, dtype=torch.int64),
        ]
    )
    features = torch.randn(len(labels), width, generator=rng)
    features[torch.arange(len(labels)), labels] += 4
    bad = torch.arange(len(labels)) >= sum(sizes)
    features[bad, -1] += shift
    order = torch.randperm(len(labels), generator=rng)
    return pictured(features[order], labels[order]), bad[order]


def clean_samples(count: int = 40, width: int = 12, seed: int = 9) -> CleanSet:
    """A budget of `count` samples of each class, half to learn from, from the same distribution."""
    halves = (planted((count // 2,) * 4, 0, width=width, seed=seed + i)[0] for i in range(2))
    return CleanSet(*halves)
