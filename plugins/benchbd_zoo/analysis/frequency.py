"""In which frequencies does the trigger live, and does the network listen there? Spectra over two
dimensions, of the trigger and of the network's saliency.

    T(u, v) = mean over pairs and channels of | FFT2(x' - x) |
    S(u, v) = mean over images and channels of | FFT2(d f_c / d x) |
        f_c: logit of the predicted class
    tuned   = mean of S weighted by T, over the mean of S

Since x is the inverse transform of its spectrum, FFT2 of the gradient is, but for a factor, the
gradient for the spectrum: S tells how much each frequency counts. `tuned` is 1 by chance; a
backdoored network that listens to its trigger has a higher one on triggered than on clean images.

The radius of a frequency is sqrt((u / (H / 2))^2 + (v / (W / 2))^2): 1 is the highest frequency
along one axis. Spectra are not scaled image by image, so those of clean and of triggered images
compare. Zeng, Park, Mao and Jia (ICCV 2021, 2104.03413) look at triggers by the cosine transform;
the Fourier transform here is the same for trigger and saliency.
"""

from __future__ import annotations

import copy
from typing import ClassVar

import torch
from torch import Tensor

from benchbd.api import (
    BACKDOORED,
    Analysis,
    Classifier,
    Findings,
    Grid,
    Measure,
    NotApplicable,
    Scene,
    device_of,
    hardware,
    param,
    to_float,
)

HIGH = 0.5
"""Radius above which a frequency counts as high."""

BATCH = 64


class Frequency(Analysis):
    """A forward and a backward pass over the pairs for each model."""

    api = 1
    quick: ClassVar = {"images": 8}
    measures: ClassVar = {
        "trigger_high": Measure(
            f"share of the energy of the trigger above radius {HIGH:g}; of the attack alone",
            low=0,
            high=1,
        ),
        "trigger_mean_radius": Measure(
            "mean radius of the trigger's energy; of the attack alone", low=0, high=2**0.5
        ),
        "tuned": Measure(
            "saliency at the trigger's frequencies on triggered images, as a multiple of chance",
            low=0,
            better="lower",
        ),
        "tuned_without": Measure("the same on clean images, which is the control", low=0),
        "saliency_high": Measure(
            f"share of the saliency's energy on triggered images above radius {HIGH:g}",
            low=0,
            high=1,
        ),
    }

    images: int = param(128, "pairs of test images without and with the trigger", ge=1)

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        pairs = scene.pairs(self.images)
        change = (pairs.triggered.double() - pairs.clean.double()) / 255
        trigger = spectrum(change)
        if not float(trigger.sum()):
            raise NotApplicable("the trigger changes no pixel of the images, so it has no spectrum")
        numbers, panels = {}, {"trigger": trigger / trigger.max()}
        for name, model in scene.models.items():
            without, with_trigger = (
                spectrum(saliency(model, images)) for images in (pairs.clean, pairs.triggered)
            )
            most = max(float(without.max()), float(with_trigger.max())) or 1.0
            panels[f"{name}, clean"] = without / most
            panels[f"{name}, triggered"] = with_trigger / most
            numbers[name] = {
                "tuned": tuned(with_trigger, trigger),
                "tuned_without": tuned(without, trigger),
                "saliency_high": high_share(with_trigger),
            }
        numbers[BACKDOORED] |= {
            "trigger_high": high_share(trigger),
            "trigger_mean_radius": mean_radius(trigger),
        }
        height, width = trigger.shape
        picture = Grid(
            panels,
            [str(u - height // 2) for u in range(height)],
            [str(v - width // 2) for v in range(width)],
            "The lowest frequencies lie in the middle, and each model has one scale. Where the "
            "saliency is brighter on triggered images at the bright places of the trigger, the "
            "network listens to the trigger.",
        )
        return Findings(numbers, {}, {"spectra": picture})


def saliency(model: Classifier, images: Tensor) -> Tensor:
    """Return the gradients (N, C, H, W) float64 of the predicted classes' logits for uint8 images
    (N, C, H, W), on the CPU.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    device = device_of(model)
    found = []
    for batch in images.split(BATCH):
        x = to_float(batch.to(device)).requires_grad_()
        with torch.enable_grad(), hardware(str(device)).autocast(x):
            best = model(x).float().amax(1).sum()
        (gradient,) = torch.autograd.grad(best, x)
        found.append(gradient.double().cpu())
    return torch.cat(found)


def spectrum(values: Tensor) -> Tensor:
    """Return the mean amplitude (H, W) of the frequencies of (N, C, H, W), the lowest in the
    middle.
    """
    amplitudes: Tensor = torch.fft.fftshift(torch.fft.fft2(values).abs(), dim=(2, 3))
    return amplitudes.mean((0, 1))


def tuned(heard: Tensor, trigger: Tensor) -> float:
    """Return the mean of one spectrum weighted by another, both (H, W), by its plain mean; 1 where
    nothing is heard.
    """
    mean = float(heard.mean())
    return float((heard * trigger).sum() / trigger.sum()) / mean if mean else 1.0


def radii(height: int, width: int) -> Tensor:
    """Return the radius of each frequency (H, W)."""
    down, right = (
        torch.fft.fftshift(torch.fft.fftfreq(side, dtype=torch.float64)) * 2
        for side in (height, width)
    )
    return torch.hypot(down[:, None], right)


def high_share(amplitudes: Tensor) -> float:
    """Return the share of the energy of a spectrum (H, W) that lies above the radius `HIGH`."""
    energy = amplitudes.square()
    total = float(energy.sum())
    return float(energy[radii(*energy.shape) > HIGH].sum()) / total if total else 0.0


def mean_radius(amplitudes: Tensor) -> float:
    """Return the mean radius of the energy of a spectrum (H, W)."""
    energy = amplitudes.square()
    return float((energy * radii(*energy.shape)).sum() / energy.sum())
