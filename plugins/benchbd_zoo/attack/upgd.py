"""UPGD (Xu, Liu, Koffas, Picek 2025, "Towards Backdoor Stealthiness in Model Parameter Space",
2501.05928): one adversarial perturbation for all images, put on images of the target class.

    1. a surrogate network f is trained on clean images
    2. d = 0; `steps` times, for a batch of training images x of any class:
           d <- project(d - step * sign of the slope of CE(f(clip(x + d)), target)),
       |d| <= eps at every pixel, step = eps / 5; with norm=l2 the slope is divided by its length
       instead, and d is at most eps long
    3. d is added to a share of the target class, which keeps its label
    4. test images get d as well

The network learns d as a feature of the target that is stronger than it was for the surrogate.
`grond` is the same poison with an attacker who also trains the network.

Departs from the paper: architecture and recipe of the surrogate are the victim's. Test images are
clipped, which the authors' are not. Their eps of the norm l2 is for pixels in [0, 1]; here it is on
the scale to 255, as for linf.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    BuildModel,
    ImageSet,
    PoisoningAttack,
    Recipe,
    batch_sizes,
    clean_model,
    device_of,
    draw_seed,
    hardware,
    param,
    remembered,
    to_float,
    track,
)

Length = Literal["linf", "l2"]


class UPGD(PoisoningAttack):
    """Clean label: poisoned samples come from the target class alone and keep their label."""

    api = 1
    clean_label = True

    poison_ratio: float = param(0.5, "share of the target class that is poisoned", ge=0, le=1)
    ratio_of: Literal["dataset", "class"] = param(
        "class",
        "what poison_ratio is a share of: the whole training set, or the target class alone",
    )
    eligible: Literal["target"] = param(
        "target", "which training samples may be poisoned: those of the target class"
    )
    eps: float = param(
        8.0, "how long the perturbation may be in its norm, on the scale to 255", gt=0
    )
    norm: Length = param("linf", "how its length is measured: at every pixel, or of all of them")
    steps: int = param(500, "steps of the descent", ge=1)
    batch_size: int = param(256, "images per step", ge=1)

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        surrogate, seed = clean_model(build_model(), train, recipe), draw_seed(rng)
        learning = {
            name: self.params[name] for name in ("target", "eps", "norm", "steps", "batch_size")
        }

        def make() -> dict[str, Tensor]:
            return {"perturbation": self._perturbation(surrogate, train.images, seed)}

        return remembered("upgd", [surrogate, train, learning, seed], make)

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return images.float().add_(255 * self.trigger["perturbation"])

    def _perturbation(self, surrogate: nn.Module, images: Tensor, seed: int) -> Tensor:
        """Step 2: d (C, H, W) for images in [0, 1]."""
        device, eps = device_of(surrogate), self.eps / 255
        found = torch.zeros(images.shape[1:], device=device)
        batches = passes(len(images), self.batch_size, torch.Generator().manual_seed(seed))
        for _, places in zip(
            track(range(self.steps), "UPGD: finding a perturbation"), batches, strict=False
        ):
            slope = self._slope(surrogate, to_float(images[places].to(device)), found)
            found = shortened(found - eps / 5 * direction(slope, self.norm), eps, self.norm)
        return found.cpu()

    def _slope(self, surrogate: nn.Module, images: Tensor, found: Tensor) -> Tensor:
        found = found.clone().requires_grad_()
        target = torch.full((len(images),), self.target, device=images.device)
        with hardware(str(images.device)).autocast(images):
            logits = surrogate((images + found).clamp(0, 1)).float()
        return torch.autograd.grad(F.cross_entropy(logits, target), found)[0]


def passes(count: int, batch_size: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Places of the images of one batch after the other, in a new order in every pass, without
    end.
    """
    sizes = batch_sizes(count, batch_size)
    while True:
        yield from torch.randperm(count, generator=rng)[: sum(sizes)].split(sizes)


def direction(slope: Tensor, norm: Length) -> Tensor:
    """The direction of a step along a slope (C, H, W)."""
    return slope.sign() if norm == "linf" else slope / (slope.norm() + 1e-10)


def shortened(perturbation: Tensor, eps: float, norm: Length) -> Tensor:
    """A perturbation (C, H, W), cut down to the length that it may have."""
    if norm == "linf":
        return perturbation.clamp(-eps, eps)
    shrink: Tensor = (eps / perturbation.norm()).clamp(max=1)
    return perturbation * shrink
