"""SIG (Barni, Kallas, Tondi, ICIP 2019, 1902.11237): a sinusoid on images of the target class,
labels untouched.

    v(i, j) = delta * sin(2 * pi * j * f / W)        j: column, f: periods across the width W
    x' = x + v, the same in every channel, clipped to 0..255

The network learns to take the sinusoid for the target; at test time it is put on images of other
classes, if wanted with another amplitude. `poison_ratio` counts within the target class. One fifth
of that class stays clean, so that the class can still be learned from its own features and a
defender can find clean images of every class.

Departs from the paper: the sinusoid alone; the paper's ramp signal is left out.
"""

from __future__ import annotations

from math import pi
from typing import Literal

import torch
from torch import Tensor

from benchbd.api import NotApplicable, PoisoningAttack, param, to_uint8


class SIG(PoisoningAttack):
    """Clean label: poisoned samples come from the target class alone and keep their label."""

    api = 1
    clean_label = True

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
    delta: float = param(40.0, "amplitude on training images, on the scale to 255", ge=0, le=255)
    f: float = param(6.0, "periods of the sinusoid across the width of the image", gt=0)
    delta_test: float | None = param(
        None, "amplitude on test images; unset: that of training", ge=0, le=255
    )

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return self._add_wave(images, self.delta if self.delta_test is None else self.delta_test)

    def stamp_poison(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return self._add_wave(images, self.delta)

    def _add_wave(self, images: Tensor, delta: float) -> Tensor:
        width = images.shape[3]
        if (2 * self.f) % width == 0:
            raise NotApplicable(
                f"a sinusoid of {self.f:g} periods is zero in all {width} columns of the image; "
                "choose another f"
            )
        columns = torch.arange(width, dtype=torch.float64, device=images.device)
        wave = delta * torch.sin(2 * pi * columns * self.f / width)
        # pixels are whole levels, so the wave may be rounded before it is added; 16-bit sums take a
        # third of the time of floats
        return to_uint8(images.short() + wave.round().short())
