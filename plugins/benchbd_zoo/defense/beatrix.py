"""Beatrix (Ma, Wang, Sun, Xue, Wen and Xiang, NDSS 2023, 2209.11715): a trigger changes how
features go together.

    1. v (C, places) = the map at the input of the network's last stage
    2. G_p = (v^p (v^p)^T)^(1/p), the upper triangle of it, entry by entry with its sign, for p = 1
       ... `powers`
    3. for every class the median and the MAD of each entry, over up to `per_class` clean images of
       it
    4. deviation of an input = what its entries lie outside of  median +- `k` * MAD  of the class
       that it is given, relative to the nearer bound, added up over entries and orders and divided
       by (entries / 2) * powers
    5. a large deviation is suspicious

The stages are those between which the spatial size changes. A network with less than two has no
such map; its penultimate features are taken for v, with a single place. Order after order is worked
through, so memory holds few triangles at once.

The authors' code divides by half of the C^2 entries of the whole matrix in step 4, which scales all
deviations of a network alike and changes no decision.

Departs from the paper: one threshold for all classes; no test by maximum mean discrepancy of which
class is attacked; a class with fewer than two clean images is judged by images of all classes;
features are not followed beyond a hundred times what is the largest of clean ones, so that their
powers stay numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from benchbd.api import (
    CleanSet,
    ImageSet,
    InputDetector,
    Scorer,
    device_of,
    eval_mode,
    hardware,
    param,
    to_float,
    watching_outputs,
)
from benchbd_zoo.defense.parts.attention import stages

NEAR_ZERO = 1e-6
"""Added to a bound that is divided by, as in the reference code."""

FARTHEST = 100.0
"""Features count up to this many times the largest clean one: to the power of 16 that is still a
number in float32.
"""

ENTRIES = 2**24
"""Of Gram matrices in memory at once."""


class Gramian(BaseModel):
    """What Beatrix needs to know, of inputs and of training samples alike."""

    powers: int = param(8, "highest order p of the Gram matrices", ge=1, le=8)
    k: float = param(
        10.0, "half the width of the allowed band, in median absolute deviations", ge=0
    )
    per_class: int = param(30, "clean images of each class whose statistics are taken", ge=2)

    def fit(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Scorer:
        shuffled = clean.train.subset(
            torch.randperm(len(clean.train), generator=rng).to(clean.train.labels.device)
        )
        return Deviation(Latent(model, shuffled.images[: self.per_class]), shuffled, self)


class Beatrix(Gramian, InputDetector):
    """One pass; the class of an input is the predicted one."""

    api = 1


class Latent:
    """The features v of a network; they are measured in units of the largest of clean `images`."""

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        self.model, self.device = model, device_of(model)
        ends = list(stages(model, images))
        self.layer = ends[-2] if len(ends) > 1 else None
        features, _ = self.seen(images)
        self.unit = features.abs().max().clamp(min=NEAR_ZERO)
        self.at_once = max(2, min(256, ENTRIES // features.shape[1] ** 2))

    def seen(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """v (B, C, places) of uint8 images, and their predicted classes (B,)."""
        x = to_float(images.to(self.device))
        with eval_mode(self.model), torch.inference_mode(), hardware(str(self.device)).autocast(x):
            if self.layer is None:
                features = self.model.features(x)  # type: ignore[operator]
                return features.float()[:, :, None], self.model.head(features).argmax(1)  # type: ignore[operator]
            maps: list[Tensor] = []
            with watching_outputs(
                self.model, [self.layer], lambda _, output: maps.append(output.float().clone())
            ):
                classes = self.model(x).argmax(1)
            return maps[0].flatten(2), classes

    def gram(self, features: Tensor, p: int) -> Tensor:
        """G_p (B, entries) of v (B, C, places)."""
        unit = (features / self.unit).clamp(-FARTHEST, FARTHEST)
        return triangle(unit, p) * self.unit**2


def triangle(features: Tensor, p: int) -> Tensor:
    """Upper triangle (B, C * (C + 1) / 2) of the signed p-th root of the Gram matrix of features^p
    (B, C, places).

    The power is taken before the product, not of it.
    """
    raised = features.pow(p)
    row, column = torch.triu_indices(features.shape[1], features.shape[1], device=features.device)
    product = (raised @ raised.mT)[:, row, column]
    return product.sign() * product.abs().pow(1 / p)


class Deviation:
    """Step 4, by the bands `lower` and `upper` (K, powers, entries) of clean images."""

    def __init__(self, latent: Latent, clean: ImageSet, options: Gramian) -> None:
        self.latent, self.powers = latent, options.powers
        bounds = [self._bounds(own, options.k) for own in self._by_class(clean, options.per_class)]
        self.lower, self.upper = (torch.stack(side) for side in zip(*bounds, strict=True))

    def score(self, images: Tensor) -> Tensor:
        return torch.cat([self._deviation(batch) for batch in images.split(self.latent.at_once)])

    def _by_class(self, clean: ImageSet, count: int) -> Iterator[Tensor]:
        """v of up to `count` images of every class; of a class that has fewer than two, of images
        of all.
        """
        own = [
            torch.nonzero(clean.labels.cpu() == label)[:count, 0]
            for label in range(clean.num_classes)
        ]
        chosen = torch.cat([torch.arange(min(count, len(clean))), *own])
        images = clean.images[chosen.to(clean.images.device)]
        features = torch.cat(
            [self.latent.seen(batch)[0] for batch in images.split(self.latent.at_once)]
        )
        every, *by_class = features.split([min(count, len(clean)), *map(len, own)])
        return (held if len(held) > 1 else every for held in by_class)

    def _bounds(self, features: Tensor, k: float) -> tuple[Tensor, Tensor]:
        """The band (powers, entries) of the clean images of a class."""
        bands = [band(self.latent.gram(features, p), k) for p in range(1, self.powers + 1)]
        lower, upper = zip(*bands, strict=True)
        return torch.stack(lower), torch.stack(upper)

    def _deviation(self, images: Tensor) -> Tensor:
        features, classes = self.latent.seen(images)
        total = torch.zeros(len(images), device=features.device)
        for order in range(self.powers):
            entries = self.latent.gram(features, order + 1)
            total += outside(entries, self.lower[classes, order], self.upper[classes, order])
        return total / (self.lower.shape[2] / 2 * self.powers)


def band(entries: Tensor, k: float) -> tuple[Tensor, Tensor]:
    """Median -+ k * MAD of every one of the entries (n, E)."""
    median = entries.median(0).values
    spread = k * (entries - median).abs().median(0).values
    return median - spread, median + spread


def outside(entries: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """How far (B,) the entries (B, E) lie outside of their bands, relative to the bounds."""
    below = (lower - entries).relu() / (lower + NEAR_ZERO).abs()
    above = (entries - upper).relu() / (upper + NEAR_ZERO).abs()
    return (below + above).sum(1)
