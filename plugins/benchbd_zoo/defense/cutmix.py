"""CutMix (Yun, Han, Oh, Chun, Choe and Yoo, ICCV 2019, 1905.04899), as a defense: Borgnia et al.
2020 (2011.09527).

Augmentation that pastes a rectangle of one image into another breaks up triggers, and labels that
are mixed with them weaken the tie to the target. A baseline that every robust training must beat.

    lambda ~ Beta(beta, beta); with the probability `cutmix_prob`, for a batch x, y and a
    permutation x', y' of it:
    1. a rectangle of sides W * sqrt(1 - lambda), H * sqrt(1 - lambda) around a uniform centre, cut
       off at the border
    2. x <- x' inside of it;  lambda <- 1 - area of the rectangle / (W * H)
    3. L = lambda * CE(x, y) + (1 - lambda) * CE(x, y')

One lambda and one rectangle for a batch, as in the authors' code. Mixed are the crops that the
recipe gives.

Departs from the paper: nothing. Probability and beta are the authors' for CIFAR.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import BuildModel, ImageSet, Recipe, RobustTraining, draw_seed, fit, param


class Box(NamedTuple):
    """Rows from `top` up to `bottom`, columns from `left` up to `right`."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def area(self) -> int:
        return (self.bottom - self.top) * (self.right - self.left)


class CutMix(RobustTraining):
    """The recipe's training, on mixed batches."""

    api = 1

    beta: float = param(1.0, "of the distribution Beta(beta, beta) of lambda", gt=0)
    cutmix_prob: float = param(0.5, "share of batches that are mixed", ge=0, le=1)

    def train(
        self, build_model: BuildModel, train_as_seen: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> nn.Module:
        draws = numpy.random.default_rng(draw_seed(rng))

        def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            if draws.random() >= self.cutmix_prob:
                return F.cross_entropy(
                    model(images).float(), labels, label_smoothing=recipe.label_smoothing
                )
            other = torch.from_numpy(draws.permutation(len(images))).to(images.device)
            height, width = images.shape[2:]
            box = drawn_box(height, width, draws.beta(self.beta, self.beta), draws)
            own = 1 - box.area / (height * width)
            scores = model(mixed(images, images[other], box)).float()
            first, second = (
                F.cross_entropy(scores, y, label_smoothing=recipe.label_smoothing)
                for y in (labels, labels[other])
            )
            return own * first + (1 - own) * second

        return fit(
            build_model(), train_as_seen, recipe, rng, loss=loss, what="training with CutMix"
        )


def drawn_box(height: int, width: int, share: float, draws: numpy.random.Generator) -> Box:
    """A rectangle of 1 - `share` of the image around a uniform centre, cut off at the border."""
    side = math.sqrt(1 - share)
    rows, columns = int(height * side), int(width * side)
    y, x = int(draws.integers(height)), int(draws.integers(width))
    top, left = y - rows // 2, x - columns // 2
    return Box(max(top, 0), min(y + rows // 2, height), max(left, 0), min(x + columns // 2, width))


def mixed(images: Tensor, others: Tensor, box: Box) -> Tensor:
    """`images` (B, C, H, W) with the box taken from `others`."""
    result = images.clone()
    inside = (..., slice(box.top, box.bottom), slice(box.left, box.right))
    result[inside] = others[inside]
    return result
