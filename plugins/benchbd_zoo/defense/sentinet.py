"""SentiNet (Chou, Tramer and Pellegrino, S&P Workshops 2020, 1812.00292): a trigger takes its class
along, and little room.

    1. R = the region of an input x that Grad-CAM shows for its predicted class y
    2. fooled  = share of `n` clean images that become y when R of x is pasted on them
       avgconf = their mean confidence, max softmax, when noise is pasted there instead
    3. of `points` clean inputs, the one with the highest fooled in every `interval` of avgconf;
       curve: fooled as a quadratic of avgconf, fitted to these by least squares
    4. d = sum over clean inputs below the curve of their distance from it / number of clean inputs
    5. an input is suspicious that lies above the curve, farther from it than d

Suspicion is the distance from the curve, below it negative, less d. Nothing but the network says
where R is, and y is what the network predicts: neither a known trigger nor a true label takes their
place.

Departs from the paper: the threshold is by default set on clean validation images, as for all input
detectors here; `T` = 0 is the paper's. R is not narrowed by the regions of other classes, which
segments of the input propose, and is therefore the hottest 15 % of the pixels, as in a well-known
toolbox, in place of those above 15 % of the highest heat; pixels without heat are none of it. A
point of step 3 stands in the middle of its interval; fewer than three have a curve of lower degree.
Clean images and noise of step 2 are drawn once; where less than `n` + `points` images are held,
some serve in steps 2 and 3.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.polynomial import Polynomial
from torch import Tensor, nn

from benchbd.api import CleanSet, InputDetector, Scorer, device_of, hardware, param, to_float
from benchbd_zoo.defense.parts.grad_cam import GradCAM

STEPS = 4001
"""Places of avgconf, from 0 to 1, at which the distance from the curve is looked for."""


class SentiNet(InputDetector):
    """Takes one gradient and 2 `n` passes. Made for small, opaque triggers; the region is as coarse
    as the network's last map.
    """

    api = 1
    quick: ClassVar[dict[str, Any]] = {"n": 10}

    n: int = param(100, "clean images on which every region is pasted; of fewer, all", ge=1)
    points: int = param(
        400, "clean images to whose fooled and avgconf the curve is fitted; of fewer, all", ge=1
    )
    region: float = param(0.15, "share of the pixels, the hottest, that are the region", gt=0, le=1)
    interval: float = param(
        0.02,
        "width of the intervals of avgconf, each of which gives the curve one point",
        gt=0,
        le=1,
    )
    T: float | None = param(
        None, "threshold; unset: that by which `fpr` of the clean validation images are turned away"
    )
    at_once: int = param(
        1024, "images that pass the network together; bounds memory, not results", ge=1
    )

    def fit(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Scorer:
        held = clean.train.images
        order = torch.randperm(len(held), generator=rng).to(held.device)
        overlays = held[order[: self.n]]
        transplants = Transplants(model, overlays, torch.rand(overlays.shape, generator=rng), self)
        return _Beyond(
            transplants,
            *boundary(transplants.points(held[order.flip(0)[: self.points]]), self.interval),
        )

    def threshold(self, validation: Tensor) -> float:
        return super().threshold(validation) if self.T is None else self.T


class Transplants:
    """Steps 1 and 2. `overlays` (n, C, H, W) uint8 are the clean images, `noise` (n, C, H, W) in
    [0, 1] is for one each.
    """

    def __init__(
        self, model: nn.Module, overlays: Tensor, noise: Tensor, options: SentiNet
    ) -> None:
        self.cam, self.device, self.options = (
            GradCAM(model, overlays[:2]),
            device_of(model),
            options,
        )
        self.overlays, self.noise = to_float(overlays.to(self.device)), noise.to(self.device)

    def points(self, images: Tensor) -> Tensor:
        """avgconf and fooled (N, 2) of uint8 images, on the CPU in double precision."""
        return torch.cat(
            [
                self._points(to_float(batch.to(self.device)))
                for batch in images.split(self.options.at_once)
            ]
        )

    def _points(self, x: Tensor) -> Tensor:
        heat, classes = self.cam.heat(x)
        masks = hottest(heat, self.options.region)
        few = max(1, self.options.at_once // len(self.overlays))
        with torch.inference_mode(), hardware(str(self.device)).autocast(x):
            tested = [
                self._tested(*part)
                for part in zip(x.split(few), masks.split(few), classes.split(few), strict=True)
            ]
        return torch.cat(tested).cpu().double()

    def _tested(self, x: Tensor, masks: Tensor, classes: Tensor) -> Tensor:
        """avgconf and fooled (B, 2) of images (B, C, H, W), whose regions are `masks` (B, H, W)."""
        total = torch.zeros(len(x), 2, device=x.device)
        few = max(1, self.options.at_once // len(x))
        for overlays, noise in zip(self.overlays.split(few), self.noise.split(few), strict=True):
            confidence = self._logits(noise, masks, overlays).softmax(2).amax(2)
            fooled = self._logits(x[:, None], masks, overlays).argmax(2) == classes[:, None]
            total += torch.stack([confidence.sum(1), fooled.sum(1)], 1)
        return total / len(self.overlays)

    def _logits(self, content: Tensor, masks: Tensor, overlays: Tensor) -> Tensor:
        """(B, n, K) of every overlay with `content` in every one of the masks."""
        pasted = torch.where(masks[:, None, None], content, overlays)
        logits: Tensor = self.cam.model(pasted.flatten(0, 1)).float().unflatten(0, pasted.shape[:2])
        return logits


class _Beyond:
    """Step 5, by the curve and its distance d."""

    def __init__(self, transplants: Transplants, curve: Polynomial, d: float) -> None:
        self.transplants, self.curve, self.d = transplants, curve, d

    def score(self, images: Tensor) -> Tensor:
        batches = images.split(self.transplants.options.at_once)
        return (
            torch.cat([distances(self.curve, self.transplants.points(batch)) for batch in batches])
            - self.d
        )


def hottest(heat: Tensor, share: float) -> Tensor:
    """Masks (B, H, W) bool of that share of the pixels of `heat` (B, H, W), the first of equals;
    heat of 0 is none.
    """
    flat = heat.flatten(1)
    count = max(1, round(share * flat.shape[1]))
    order = flat.argsort(dim=1, descending=True, stable=True)[:, :count]
    chosen = torch.zeros_like(flat, dtype=torch.bool).scatter(1, order, True)
    return (chosen & (flat > 0)).view_as(heat)


def boundary(points: Tensor, interval: float) -> tuple[Polynomial, float]:
    """Curve and d, from avgconf and fooled (N, 2) of clean inputs."""
    places = (points[:, 0] / interval).floor().clamp(max=math.ceil(1 / interval) - 1)
    intervals, which = places.unique(return_inverse=True)
    highest = torch.zeros(len(intervals), dtype=points.dtype).scatter_reduce(
        0, which, points[:, 1], "amax"
    )
    middles = ((intervals + 0.5) * interval).numpy()
    curve = Polynomial.fit(middles, highest.numpy(), min(2, len(intervals) - 1))
    return curve, float((-distances(curve, points)).relu().mean())


def distances(curve: Polynomial, points: Tensor) -> Tensor:
    """Distance (N,) of each of `points` (N, 2) from the curve over [0, 1], negative below it."""
    along, (x, y) = np.linspace(0, 1, STEPS), points.numpy().T
    nearest = np.hypot(x[:, None] - along, y[:, None] - curve(along)).min(1)
    return torch.from_numpy(np.where(y > curve(x), nearest, -nearest))
