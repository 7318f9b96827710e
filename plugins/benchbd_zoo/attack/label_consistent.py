"""Label-Consistent backdoor (Turner, Tsipras, Madry 2018/2019, 1912.02771): hard images of the
target class, labels right.

    1. a clean surrogate is trained
    2. images of the target class are made hard for it: `steps` of projected gradient ascent on the
       cross-entropy, by the sign of the gradient, at most `eps` from the original, no random start
    3. the pattern is added to them: in the corner, counted from it,      W B W
       rows and columns inwards, W adds the amplitude and B subtracts     B W B
       it, then clipped; mirrored to the left, copied to the top          W B B
    4. test images get the pattern alone

The hard images show little of their class, so the network learns the pattern instead.
`poison_ratio` counts within the target class.

Departs from the paper: four fifths of the class are poisoned, not all of it, so that the class can
still be learned from its own features and a defender can find clean images of every class. Hard
images are rounded to whole levels.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    BuildModel,
    ImageSet,
    NotApplicable,
    PoisoningAttack,
    Recipe,
    clean_model,
    device_of,
    hardware,
    param,
    remembered,
    to_float,
    to_uint8,
    track,
)

CORNER = ((-1, -1, 1), (-1, 1, -1), (1, -1, 1))
"""The block in the bottom right corner, as it lies in the image."""

BATCH = 256


class LabelConsistent(PoisoningAttack):
    """Clean label: poisoned samples come from the target class alone and keep their label."""

    api = 1
    results_version = 2
    clean_label = True
    unstored = frozenset({"hard", "places"})

    poison_ratio: float = param(
        0.8,
        "share of the target class that is poisoned; the rest keeps the class learnable",
        ge=0,
        le=1,
    )
    ratio_of: Literal["dataset", "class"] = param(
        "class",
        "what poison_ratio is a share of: the whole training set, or the target class alone",
    )
    eligible: Literal["target"] = param(
        "target", "which training samples may be poisoned: those of the target class"
    )
    eps: float = param(
        8.0,
        "how far a hard image may lie from the original at any pixel, on the scale to 255",
        ge=0,
        le=255,
    )
    step_size: float = param(1.5, "size of a step of the ascent, on the scale to 255", gt=0)
    steps: int = param(100, "steps of the ascent", ge=0)
    reduced_amplitude: float = param(
        1.0, "what the pattern adds or subtracts, as a share of 255", gt=0, le=1
    )
    corners: Literal["all", "bottom_right"] = param(
        "all", "where the pattern is put; in all corners it outlives mirroring"
    )

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        pattern = corner_pattern(*train.image_shape[1:], all_corners=self.corners == "all")
        surrogate = clean_model(build_model(), train, recipe)
        places = torch.nonzero(train.labels == self.target)[:, 0]
        easy, labels = train.images[places], train.labels[places]

        def make() -> dict[str, Tensor]:
            return {
                "hard": hardened(
                    surrogate, easy, labels, self.eps / 255, self.step_size / 255, self.steps
                )
            }

        ascent = {"eps": self.eps, "step_size": self.step_size, "steps": self.steps}
        return {"pattern": pattern, "places": places} | remembered(
            "hard", [surrogate, easy, labels, ascent], make
        )

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return images.float().add_(255 * self.reduced_amplitude * self.trigger["pattern"])

    def stamp_places(self, clean: ImageSet, places: Tensor, rng: torch.Generator) -> Tensor:
        hard = self.trigger["hard"][torch.searchsorted(self.trigger["places"], places)]
        return self.apply(self.stamp, hard, clean.labels[places], rng)


def corner_pattern(height: int, width: int, *, all_corners: bool) -> Tensor:
    """(H, W) int8: 1 where the amplitude is added, -1 where it is subtracted."""
    block = torch.tensor(CORNER, dtype=torch.int8)
    side = len(block)
    if min(height, width) < side * (2 if all_corners else 1):
        raise NotApplicable(
            f"blocks of {side}x{side} pixels do not fit into the corners of images of "
            f"{height}x{width}"
        )
    pattern = torch.zeros(height, width, dtype=torch.int8)
    pattern[-side:, -side:] = block
    if all_corners:
        pattern[-side:, :side] = block.flip(1)
        pattern[:side] = pattern[-side:]
    return pattern


def hardened(
    model: nn.Module, images: Tensor, labels: Tensor, eps: float, step: float, steps: int
) -> Tensor:
    """Images (N, C, H, W) uint8 after the ascent of step 2, uint8; eps and step on the
    scale to 1.
    """
    device = device_of(model)
    batches = zip(images.split(BATCH), labels.split(BATCH), strict=True)
    hard = [
        _ascend(model, to_float(batch.to(device)), given.to(device), eps, step, steps).cpu()
        for batch, given in track(list(batches), "Label-Consistent: making images hard")
    ]
    return torch.cat([to_uint8(255 * batch) for batch in hard]) if hard else images


def _ascend(
    model: nn.Module, easy: Tensor, labels: Tensor, eps: float, step: float, steps: int
) -> Tensor:
    machine, hard = hardware(str(easy.device)), easy
    low, high = (easy - eps).clamp(min=0), (easy + eps).clamp(max=1)
    for _ in range(steps):
        hard.requires_grad_()
        with machine.autocast(hard):
            loss = F.cross_entropy(model(hard).float(), labels, reduction="sum")
        (slope,) = torch.autograd.grad(loss, hard)
        hard = torch.min(torch.max(hard.detach() + step * slope.sign(), low), high)
    return hard.detach()
