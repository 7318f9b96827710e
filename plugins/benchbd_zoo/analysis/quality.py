"""How visible is the trigger? PSNR, SSIM, L-infinity and, where it is installed, LPIPS over pairs
of clean and triggered test images, as in the result of the attack; and how much of an image
changes.

    changed   share of pixels of which any channel changes by more than 8 levels of 255
    l2        mean over pairs of || x' - x ||_2, pixels on the scale from 0 to 1

All numbers are of the attack, so they stand beside the backdoored model alone. Pairs are those of
one place in the test set: a pair of two scenes would measure how scenes differ.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from benchbd.api import (
    BACKDOORED,
    Analysis,
    Findings,
    Histogram,
    Measure,
    Overlay,
    Scene,
    image_quality,
    param,
)
from benchbd_zoo.analysis.parts.changed import changed_pixels, side_by_side, titles

SHOWN = 5
"""Pairs in the picture."""

CHANGES = 20_000
"""Values in the histogram, evenly spread over all pixels and channels."""


class Quality(Analysis):
    """Looks at images alone."""

    api = 1
    measures: ClassVar = {
        "psnr": Measure("peak signal-to-noise ratio of all pixels together, in decibels"),
        "ssim": Measure("mean structural similarity", low=-1, high=1),
        "linf": Measure("the largest change of any pixel, in levels of 255", low=0, high=255),
        "lpips": Measure("perceptual distance by AlexNet", low=0),
        "changed": Measure("share of pixels that change", low=0, high=1),
        "l2": Measure("mean length of the change of an image, pixels from 0 to 1", low=0),
    }

    images: int = param(512, "pairs of test images without and with the trigger", ge=1)

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        pairs = scene.pairs(self.images)
        change = (pairs.triggered.double() - pairs.clean.double()) / 255
        found = image_quality(pairs.clean, pairs.triggered)
        numbers = {
            **{name: value for name, value in found.items() if value is not None},
            "changed": float(changed_pixels(pairs).double().mean()),
            "l2": float(change.flatten(1).norm(dim=1).mean()),
        }
        values = 255 * change.flatten()
        places = torch.linspace(0, len(values) - 1, min(CHANGES, len(values))).round().long()
        histogram = Histogram(
            {"trigger": {"change": values[places]}},
            "change of each channel of a pixel, in levels of 255",
            "A peak at 0 beside a few large changes is a patch; a hill around 0 is a change of "
            "the whole image.",
        )
        shown = slice(SHOWN)
        heat = change.abs().amax(1)
        pictures = Overlay(
            side_by_side(pairs.clean[shown], pairs.triggered[shown]),
            {"change": side_by_side(torch.zeros_like(heat[shown]), heat[shown])},
            titles(scene.test.class_names, pairs.true_labels[shown]),
            "The lower row shows where the trigger changes an image, brightest where it changes it "
            "most.",
        )
        return Findings({BACKDOORED: numbers}, {}, {"changes": histogram, "images": pictures})
