"""Refool (Liu, Ma, Bailey, Lu, ECCV 2020, 2007.02343): reflections as the trigger.

    1. candidates R: `candidates` training images of other classes than the target
    2. all light in gamma 2.2. With probability `ghost_rate` a ghost: two copies of R, shifted by 3
       to 8 pixels in either direction and weighed g and 1 - g, then
           x' = (alpha_t * T + (1 - alpha_t) * ghost)^(1/2.2)
       else out of focus: R blurred (sigma 1 to 5), dimmed per channel where R + T exceeds 1, under
       a veil that is thickest in the middle, then
           x' = (alpha_t * T + (1 - alpha_t / 2) * veil * R)^(1/2.2)
       T: the image; 1 - alpha_t ~ U(0.05, 0.45) unless fixed;  g = |0 or 1 - U(0.15, 0.5)|
    3. selection, `rounds` times: poison, train, and set the weight of each candidate to how often
       its reflection made the network take held-out images of other classes for the target; unused
       ones get the median
    4. poisoned: images of the target class with reflections drawn by these weights, labels
       untouched; test images get such reflections too

`eligible: non_target` poisons other classes instead and labels them with the target: the
dirty-label variant.

Departs from the paper: reflections come from the training set, not from photographs of another one;
what is random about a reflection is drawn once for each candidate; which one an image gets follows
from its own pixels, so that it gets the same one in any batch. Lengths are shares of an image of
`max_image_size`, to which nothing is enlarged. Selection is off unless `rounds` is set, since each
round trains a network. There any mistake counts as a hit of a candidate, and images are mixed by
their mean brightness in these rounds. `poison_ratio` is the share by which the authors' code
selects; their final network is trained with a fifth of the class.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from benchbd.api import (
    BuildModel,
    ConfigError,
    ImageSet,
    PoisoningAttack,
    Recipe,
    fit,
    fork,
    param,
    predict,
)
from benchbd_zoo.attack.parts.reflection import (
    blurred_on,
    doubled_on,
    draw_reflections,
    layers,
    to_light,
    veils,
)

PRIME = 2**31 - 1
HELD_OUT = 10
"""Every tenth training image is held out to weigh candidates by."""


class Refool(PoisoningAttack):
    """Clean label unless told otherwise; parameters carry the names of the authors' code where it
    has one.
    """

    api = 1
    quick: ClassVar[dict[str, Any]] = {"candidates": 10}

    poison_ratio: float = param(0.4, "share of the samples that are poisoned", ge=0, le=1)
    ratio_of: Literal["dataset", "class"] = param(
        "class",
        "what poison_ratio is a share of: the whole training set, or the eligible samples alone",
    )
    eligible: Literal["target", "non_target"] = param(
        "target",
        "which training samples may be poisoned: those of the target class, or all others, "
        "relabelled",
    )
    candidates: int = param(
        200, "training images of other classes whose reflections are used", ge=1
    )
    ghost_rate: float = param(
        0.49, "share of the reflections that are doubled; the others are out of focus", ge=0, le=1
    )
    alpha_t: float | None = param(
        None, "share of the image in the light; unset: drawn from 0.55 to 0.95", ge=0, le=1
    )
    max_image_size: int = param(
        560, "longest side of the images for which shifts and blurs are measured in pixels", ge=1
    )
    rounds: int = param(
        0, "rounds of selection, each of which trains a network; the paper's attack has 16", ge=0
    )

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        others = torch.nonzero(train.labels != self.target)[:, 0]
        if not len(others):
            raise ConfigError(
                f"{self.name}: all training images are of the target class; there is nothing to "
                "reflect"
            )
        chosen = others[torch.randperm(len(others), generator=rng)[: self.candidates]]
        drawn = draw_reflections(len(chosen), self.ghost_rate, self.alpha_t, rng)
        rows, columns = veils(*train.image_shape[1:], drawn)
        trigger = {
            # light keeps to a third of a level in half precision, and the stored trigger is half as
            # large
            "layers": layers(to_light(train.images[chosen]), drawn, self.max_image_size).half(),
            "rows": rows,
            "columns": columns,
            "salt": torch.randint(1, PRIME, (train.image_shape[1],), generator=rng),
            "weights": torch.ones(len(chosen), dtype=torch.float64),
            **{name: drawn[name] for name in ("is_ghost", "alpha_t", "attenuation")},
        }
        for _ in range(self.rounds):
            trigger["weights"] = self._weigh(trigger, train, build_model, recipe, fork(rng))
        return trigger

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        which = self.which(images)
        stamped = torch.empty(images.shape)
        for is_ghost in (True, False):
            here = self.trigger["is_ghost"][which] == is_ghost
            stamped[here] = self._reflect(images[here], which[here], is_ghost)
        return stamped.mul_(255)

    def which(self, images: Tensor) -> Tensor:
        """The candidate (N,) that each image is given: a draw by the weights that its own pixels
        decide.
        """
        mixed = (images.sum((1, 3)) * self.trigger["salt"] % PRIME).sum(1) % PRIME
        steps = self.trigger["weights"].cumsum(0)
        return torch.searchsorted(steps, steps[-1] * mixed / PRIME, right=True)

    def _reflect(self, images: Tensor, which: Tensor, is_ghost: bool) -> Tensor:
        """Step 2, in [0, 1]."""
        transmitted, reflected = to_light(images), self.trigger["layers"][which].float()
        alpha_t, attenuation = (
            self.trigger[name].float()[which, None, None, None]
            for name in ("alpha_t", "attenuation")
        )
        if is_ghost:
            return doubled_on(transmitted, reflected, alpha_t)
        veil = (
            self.trigger["rows"][which, None, :, None]
            * self.trigger["columns"][which, None, None, :]
        )
        return blurred_on(transmitted, reflected, alpha_t, attenuation, veil)

    def _weigh(
        self,
        trigger: dict[str, Tensor],
        train: ImageSet,
        build_model: BuildModel,
        recipe: Recipe,
        rng: torch.Generator,
    ) -> Tensor:
        """Step 3: weights (K,) after one round."""
        places = torch.arange(len(train))
        part, held_out = (
            train.subset(places[(places % HELD_OUT == 0) == held]) for held in (False, True)
        )
        attack = self.with_trigger(trigger)
        poisoned = attack.poison(part, rng).as_seen()
        model = fit(build_model(), poisoned, recipe, rng, what="Refool: a round of selection")
        triggered = attack.triggered(held_out, rng)
        which = attack.which(held_out.images[triggered.indices])
        fooled = (predict(model, triggered.images) == self.target).double()
        hits = torch.zeros_like(trigger["weights"]).index_add_(0, which, fooled)
        used = torch.bincount(which, minlength=len(hits)) > 0
        weights = torch.where(used, hits, hits[used].median())
        return weights if weights.any() else torch.ones_like(weights)
