"""Does the network look at the trigger, and away from it after a repair? Grad-CAM (Selvaraju,
Cogswell, Das, Vedantam, Parikh and Batra, ICCV 2017, 1610.02391) of the predicted class, for the
same images without and with the trigger.

    lift = (heat on changed pixels / all heat) / (changed pixels / all pixels)

1 is chance. The same pixels of the clean images are the control: a trigger in the middle, where
objects are, has a lift above 1 without any backdoor. A pixel is changed if a channel of it changes
by more than 8 levels; an image of which more than half is changed has no lift. How far the heat
moves when the trigger comes is known for every trigger:

    moved = 1/2 * sum over places of | heat' / sum of heat' - heat / sum of heat |
"""

from __future__ import annotations

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
    param,
    to_float,
)
from benchbd_zoo.analysis.parts.changed import changed_pixels, mean_lift, side_by_side, titles
from benchbd_zoo.defense.parts.grad_cam import GradCAM

BATCH = 64


class Gradcam(Analysis):
    """A forward and a backward pass over the pairs for each model."""

    api = 1
    quick: ClassVar = {"images": 8}
    measures: ClassVar = {
        "lift": Measure(
            "heat on the pixels of the trigger, where it is, as a multiple of chance",
            low=0,
            better="lower",
        ),
        "lift_without": Measure("the same where the trigger is not, which is the control", low=0),
        "moved": Measure(
            "share of the heat that moves elsewhere when the trigger comes",
            low=0,
            high=1,
            better="lower",
        ),
    }

    images: int = param(64, "pairs of test images without and with the trigger", ge=1)
    shown: int = param(5, "pairs in the picture", ge=1, le=12)

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        pairs = scene.pairs(self.images)
        changed = changed_pixels(pairs)
        numbers, rows = {}, {}
        for name, model in scene.models.items():
            without, with_trigger = heat(model, pairs.clean), heat(model, pairs.triggered)
            numbers[name] = {
                **mean_lift(with_trigger, changed, "lift"),
                **mean_lift(without, changed, "lift_without"),
                "moved": moved(without, with_trigger),
            }
            rows[name] = side_by_side(without, with_trigger)[: 2 * self.shown]
        picture = Overlay(
            side_by_side(pairs.clean, pairs.triggered)[: 2 * self.shown],
            rows,
            titles(scene.test.class_names, pairs.true_labels[: self.shown]),
            "Bright places speak for the predicted class, on one scale for each row; a backdoor "
            "draws the heat onto the trigger, and a repaired network leaves it where it is "
            "without the trigger.",
        )
        return Findings(numbers, {}, {"heat": picture})


def heat(model: Classifier, images: Tensor) -> Tensor:
    """Return the heat (N, H, W) float32 of uint8 images (N, C, H, W), on the CPU."""
    cam, device = GradCAM(model, images[:1]), device_of(model)
    found = [cam.heat(to_float(batch.to(device)))[0].cpu() for batch in images.split(BATCH)]
    return torch.cat(found)


def moved(before: Tensor, after: Tensor) -> float:
    """Return the mean total variation distance of the maps (N, H, W), each made to sum to 1; a map
    without heat is even.
    """
    first, second = (_as_shares(maps) for maps in (before, after))
    return min(1.0, float((first - second).abs().sum(1).mean() / 2))


def _as_shares(maps: Tensor) -> Tensor:
    flat = maps.double().flatten(1)
    flat = torch.where(flat.sum(1, keepdim=True) > 0, flat, torch.ones_like(flat))
    return flat / flat.sum(1, keepdim=True)
