"""Low-frequency trigger (LF; Zeng, Park, Mao, Jia, ICCV 2021, 2104.03413): a smooth pattern added
to the whole image.

    1. a clean surrogate f is trained; `samples` training images are drawn; v = 0
    2. for each image x that v does not fool (f(x + v) = f(x)):
           r = targeted DeepFool from x + v towards the target
           v <- v + g(r);  v <- g(v);  v <- strength * (v - min v) / (max v - min v)
       g: separable Gaussian low-pass of 5 * sigma taps, zero beyond the edges; sigma counts pixels
       of an image of 32
    3. step 2 is repeated until v fools `fooling_rate` of the images, or `max_iter_uni` times; the
       best v is kept
    4. x' = x + 255 * v, clipped; poisoned samples are labelled with the target (all_to_one), or
       with the class after their own (all_to_all)

DeepFool steps by |f_t - f_0| / |w|^2 * w, where w is the gradient of f_t - f_0, t the target and 0
the class predicted at first, and overshoots by a small share. One pattern cannot lead every class
to the next: under all_to_all it is still the one found towards `target`, and the labels alone make
the victim read it otherwise.

Departs from the paper: images are taken `batch_size` at a time and their r are added up (1 is the
paper's way); the target stays what it is, where the authors' code changes over to the class that
most fooled images fall into. Reference code elsewhere stopped at a fooling rate of 20 % and read an
array that had been moved by half of the range; this stops at 80 %, and the trigger is stored as it
is added.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchbd.api import (
    BuildModel,
    ImageSet,
    LabelMode,
    NotApplicable,
    PoisoningAttack,
    Recipe,
    clean_model,
    device_of,
    fork,
    param,
    relabel,
    to_float,
    track,
)

USUAL = 32
"""Height of the images for which the width of the low-pass was chosen."""


class LowFrequency(PoisoningAttack):
    """Parameters carry the names of the reference implementation where it has one."""

    api = 1
    later: ClassVar[tuple[str, ...]] = ("label_mode",)
    quick: ClassVar[dict[str, Any]] = {
        "target": 1,
        "samples": 20,
        "max_iter_uni": 2,
        "max_iter_df": 20,
    }

    label_mode: LabelMode = param(
        "all_to_one", "who is taken for what: every class for the target, or each for the next"
    )
    samples: int = param(100, "training images from which the pattern is found", ge=1)
    strength: float = param(0.2, "range of the pattern, on the scale to 1", gt=0, le=1)
    sigma: float = param(
        6.0, "width of the low-pass in pixels of a 32-pixel image; it grows with the image", gt=0
    )
    fooling_rate: float = param(0.8, "share of the images that must be fooled", gt=0, le=1)
    max_iter_uni: int = param(50, "passes over the images at most", ge=1)
    overshoot: float = param(0.02, "share by which DeepFool goes beyond the boundary", ge=0)
    max_iter_df: int = param(200, "steps of DeepFool at most", ge=1)
    batch_size: int = param(
        10, "images whose perturbations are added up before the pattern is smoothed", ge=1
    )

    def attacked_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        return relabel(labels, num_classes, self.label_mode, self.target)

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        surrogate = clean_model(build_model(), train, recipe)
        drawn = torch.randperm(len(train), generator=rng)[: self.samples]
        images = to_float(train.images[drawn].to(device_of(surrogate))).contiguous()
        pattern = self._find(surrogate, images, fork(rng)).cpu()
        if not pattern.any():
            raise NotApplicable(
                "no image drawn could be moved towards the target; train the surrogate longer, or "
                "raise samples"
            )
        return {"pattern": pattern}

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return images.float().add_(255 * self.trigger["pattern"])

    def _find(self, surrogate: nn.Module, images: Tensor, rng: torch.Generator) -> Tensor:
        """The best v (C, H, W) on the scale to 1, from images (N, C, H, W)."""
        pattern = best = torch.zeros_like(images[0])
        best_rate, clean = 0.0, _classes(surrogate, images)
        for _ in track(range(self.max_iter_uni), "LF: finding a smooth pattern"):
            for batch in torch.randperm(len(images), generator=rng).split(self.batch_size):
                pattern = self._improve(surrogate, images[batch], clean[batch], pattern)
            rate = float((_classes(surrogate, images + pattern) != clean).double().mean())
            if rate >= best_rate:
                best, best_rate = pattern, rate
            if rate >= self.fooling_rate:
                break
        return best

    def _improve(
        self, surrogate: nn.Module, images: Tensor, clean: Tensor, pattern: Tensor
    ) -> Tensor:
        """Step 2 for a batch."""
        unmoved = (_classes(surrogate, images + pattern) == clean) & (clean != self.target)
        if not unmoved.any():
            return pattern
        change, reached = deepfool(
            surrogate, images[unmoved] + pattern, self.target, self.overshoot, self.max_iter_df
        )
        if not reached.any():
            return pattern
        sigma = self.sigma * min(pattern.shape[1:]) / USUAL
        pattern = low_pass(low_pass(change[reached].sum(0), sigma) + pattern, sigma)
        pattern = pattern - pattern.min()
        return self.strength * pattern / pattern.max()


def deepfool(
    model: nn.Module, images: Tensor, target: int, overshoot: float, steps: int
) -> tuple[Tensor, Tensor]:
    """How images (N, C, H, W) in [0, 1] are to change to be taken for the target, and which (N,)
    bool then are.
    """
    first, change = _classes(model, images), torch.zeros_like(images)
    for _ in range(steps):
        moved = (images + (1 + overshoot) * change).requires_grad_()
        logits = model(moved).float()
        away = logits.argmax(1) != target
        if not away.any():
            break
        gap = logits[:, target] - logits.gather(1, first[:, None])[:, 0]
        (slope,) = torch.autograd.grad(gap.sum(), moved)
        step = (gap.detach().abs() * away / slope.flatten(1).square().sum(1))[
            :, None, None, None
        ] * slope
        change = change + step.nan_to_num(0, 0, 0)  # where the slope is zero there is no way to go
    change = (1 + overshoot) * change
    return change, _classes(model, images + change) == target


def low_pass(pattern: Tensor, sigma: float) -> Tensor:
    """g of (C, H, W): a Gaussian along rows and columns."""
    rows, columns = (_blur(length, sigma).to(pattern) for length in pattern.shape[1:])
    return rows @ pattern @ columns.T


def _blur(length: int, sigma: float) -> Tensor:
    """(length, length): a Gaussian of 5 sigma taps in every row, cut off at the edges."""
    taps = max(1, round(5 * sigma))
    weights = torch.exp(
        -(((torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2) / sigma) ** 2) / 2
    )
    here = torch.arange(length)
    tap = here - here[:, None] + (taps - 1) // 2
    inside = (tap >= 0) & (tap < taps)
    return torch.where(inside, (weights / weights.sum())[tap.clamp(0, taps - 1)], 0)


@torch.no_grad()
def _classes(model: nn.Module, images: Tensor) -> Tensor:
    return model(images).argmax(1)  # type: ignore[no-any-return]
