"""MM-BD (Wang, Xiang, Miller and Kesidis, S&P 2024): a backdoor's target class can be made
surer than any other class can.

    1. for every class c maximise over images x in [0, 1] the margin  f_c(x) - max_{k != c} f_k(x),
       from `images` random ones, by gradient ascent on all pixels
    2. r_c = the largest margin that was reached, and r_max that of all classes
    3. H0 = a gamma distribution, with a place and a scale, fitted to the K - 1 other r_c
    4. p = 1 - H0(r_max)^K, the chance that the largest of K such margins is as large;
       attacked if p <= `theta`, and the class of r_max is the target

The score of a class is -log10 of its p against the other classes. No image is held: all that is
taken from the clean set is the shape of an image. At most one class is flagged. With few classes H0
rests on few margins: three numbers are fitted to K - 1.

Departs from the paper: where no gamma distribution can be fitted, or all margins of the others are
equal, p is 1. All is computed in fp32, since a step changes a margin by less than half precision
tells apart. The ascent has no momentum, as in the authors' code, which makes a new optimiser for
each step. Below four classes the method does not apply.
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from benchbd.api import (
    CleanSet,
    ModelDetector,
    NotApplicable,
    Verdict,
    device_of,
    param,
    track,
)

FEWEST = 4
"""Classes below which too few margins are left to fit the three numbers of H0 to."""

SMALLEST = 1e-300
"""A p below this counts as this, so that its logarithm is a number."""


class MMBD(ModelDetector):
    """Takes `steps` passes of `images` images for every class."""

    api = 1
    holds_data = False
    quick: ClassVar[dict[str, Any]] = {"steps": 20}

    images: int = param(30, "random images from which the margin of a class is maximised", ge=1)
    steps: int = param(300, "steps of the ascent at most", ge=1)
    lr: float = param(0.01, "length of a step, times the gradient of an image's margin", gt=0)
    tolerance: float = param(
        1e-5, "relative change of the sum of the margins below which the ascent ends", ge=0
    )
    theta: float = param(0.05, "p up to which the model is called attacked", gt=0, lt=1)

    def inspect(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Verdict:
        classes = clean.train.num_classes
        if classes < FEWEST:
            raise NotApplicable(
                f"the largest of {classes} margins cannot be held against the others; mm_bd needs "
                f"{FEWEST} classes"
            )
        frozen = copy.deepcopy(model).eval().requires_grad_(False)
        shape = (self.images, *clean.train.image_shape)
        margins = [
            self._largest_margin(frozen, torch.rand(shape, generator=rng), label)
            for label in track(range(classes), "maximising margins")
        ]
        p = [chance(margins, label) for label in range(classes)]
        flagged = torch.zeros(classes, dtype=torch.bool)
        top = int(np.argmax(margins))
        flagged[top] = p[top] <= self.theta
        scores = -torch.tensor(p, dtype=torch.float64).clamp(min=SMALLEST).log10()
        return Verdict(scores, flagged, notes={"margins": margins, "p": p[top], "top": top})

    def _largest_margin(self, model: nn.Module, start: Tensor, label: int) -> float:
        """Steps 1 and 2 for the class `label`, from the images `start` (M, C, H, W) in [0, 1]."""
        images, before = start.to(device_of(model)), float("inf")
        for _ in range(self.steps):
            images.requires_grad_()
            reached = margin(model(images.clamp(0, 1)), label)
            (slope,) = torch.autograd.grad(reached.sum(), images)
            images, reached = (images + self.lr * slope).detach(), reached.detach()
            now = float(reached.sum())
            if abs(before - now) < self.tolerance * abs(before) < float("inf"):
                break
            before = now
        return float(reached.max())


def margin(logits: Tensor, label: int) -> Tensor:
    """f_label - max of the others (M,), of logits (M, K)."""
    others = logits.clone()
    others[:, label] = -torch.inf
    return logits[:, label] - others.amax(1)


def chance(margins: list[float], label: int) -> float:
    """Steps 3 and 4: how likely the largest of K margins is at least that of `label`, if all are
    like those of the others. 1 where the others tell nothing.
    """
    from scipy import stats  # a second to import

    others = np.delete(np.asarray(margins), label)
    if np.ptp(others) == 0:
        return 1.0
    try:
        with np.errstate(all="ignore"):  # the fit tries places at which the density is infinite
            shape, place, scale = stats.gamma.fit(others)
    except stats.FitError:
        return 1.0
    above = stats.gamma.sf(margins[label], shape, loc=place, scale=scale)
    return float(-np.expm1(len(margins) * np.log1p(-above))) if above < 1 else 1.0
