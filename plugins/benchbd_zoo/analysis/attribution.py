"""Which pixels carry the predicted class? Expected gradients (Erion, Janizek, Sturmfels, Lundberg
and Lee, Nature Machine Intelligence 2021, 1906.10670), which approximate Shapley values.

    phi_i = E over b, a of  (x_i - b_i) * d f_c / d x_i (b + a (x - b))
        b: a clean test image, a: uniform in [0, 1], f_c: logit of the predicted class of x
    gap   = | sum over i of phi_i - (f_c(x) - mean over b of f_c(b)) |

The values sum to what sets the logit of x apart from that of clean images, but for sampling: `gap`
says how far off they are, and whether more draws are needed. The numbers are of the positive part,
summed over channels, as for Grad-CAM: its share on the changed pixels, by the share of these
pixels, where 1 is chance.
"""

from __future__ import annotations

import copy
from typing import ClassVar

import torch
from torch import Tensor

from benchbd.api import (
    Analysis,
    Classifier,
    Findings,
    Measure,
    Overlay,
    Scene,
    device_of,
    hardware,
    param,
    to_float,
)
from benchbd_zoo.analysis.parts.changed import changed_pixels, mean_lift, side_by_side, titles
from benchbd_zoo.analysis.parts.samples import drawn


class Attribution(Analysis):
    """A forward and a backward pass for each draw of each image, for each model."""

    api = 1
    quick: ClassVar = {"images": 2, "draws": 4}
    measures: ClassVar = {
        "lift": Measure(
            "positive attribution on the pixels of the trigger, as a multiple of chance",
            low=0,
            better="lower",
        ),
        "lift_without": Measure("the same where the trigger is not, which is the control", low=0),
        "gap": Measure(
            "mean difference, in logits, between the sum of the attribution and what it should sum "
            "to",
            low=0,
        ),
    }

    images: int = param(12, "pairs of test images without and with the trigger", ge=1)
    draws: int = param(32, "clean images and places on the way to them, for each image", ge=1)
    shown: int = param(5, "pairs in the picture", ge=1, le=12)

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        pairs = scene.pairs(self.images)
        changed = changed_pixels(pairs)
        chosen = drawn(torch.arange(len(scene.test)), self.draws, rng)
        background = scene.test.images[chosen]
        along = torch.rand(len(background), generator=rng)
        numbers, rows = {}, {}
        for name, model in scene.models.items():
            without, with_trigger = (
                expected_gradients(model, images, background, along)
                for images in (pairs.clean, pairs.triggered)
            )
            maps = [positive(values) for values, _ in (without, with_trigger)]
            numbers[name] = {
                **mean_lift(maps[1], changed, "lift"),
                **mean_lift(maps[0], changed, "lift_without"),
                "gap": float(torch.cat([without[1], with_trigger[1]]).mean()),
            }
            rows[name] = side_by_side(*maps)[: 2 * self.shown].float()
        picture = Overlay(
            side_by_side(pairs.clean, pairs.triggered)[: 2 * self.shown],
            rows,
            titles(scene.test.class_names, pairs.true_labels[: self.shown]),
            "Bright pixels speak for the predicted class against what clean images have there, on "
            "one scale for each row; a backdoor makes the trigger bright.",
        )
        return Findings(numbers, {}, {"attribution": picture})


def positive(values: Tensor) -> Tensor:
    """Return the positive part (N, H, W) of an attribution (N, C, H, W) summed over channels."""
    return values.sum(1).relu()


def expected_gradients(
    model: Classifier, images: Tensor, background: Tensor, along: Tensor
) -> tuple[Tensor, Tensor]:
    """Return phi (N, C, H, W) and the gap (N,) of uint8 images (N, C, H, W), float64 on the CPU.

    background: b of each draw, uint8 (D, C, H, W). along: its a, (D,).
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    device = device_of(model)
    b, a = to_float(background.to(device)), along.to(device)[:, None, None, None]
    phis, gaps = [], []
    for image in to_float(images.to(device)):
        with torch.no_grad():
            scores = _logits(model, torch.cat([image[None], b])).double()
            label = int(scores[0].argmax())
        way = image - b
        x = (b + a * way).requires_grad_()
        with torch.enable_grad():
            total = _logits(model, x)[:, label].sum()
        (gradient,) = torch.autograd.grad(total, x)
        phi = (way * gradient).double().mean(0)
        phis.append(phi.cpu())
        gaps.append((phi.sum() - (scores[0, label] - scores[1:, label].mean())).abs().cpu())
    return torch.stack(phis), torch.stack(gaps)


def _logits(model: Classifier, x: Tensor) -> Tensor:
    with hardware(str(x.device)).autocast(x):
        return model(x).float()  # type: ignore[no-any-return]
