"""Would weights alone have found the channels of the backdoor? The channel's Lipschitz constant,
which the defense `clp` prunes by (Zheng, Tang, Li and Liu, ECCV 2022, 2208.03111), against the
trigger-activated change, which only the attacker can measure.

    UCLC_k = ||reshape(W_k, (C_in, h * w))||_2 * |gamma_k| / sqrt(sigma_k^2 + eps)

W: a convolution, and gamma, sigma^2, eps: of the BatchNorm that alone reads it in the network's
graph. ||.||_2 is the largest singular value. The channels of the backdoor are those whose map the
trigger changes most in the backdoored model, by the analysis `tac`; they stay the same when a
defended model is looked at, so that it shows whether a repair has brought their constants down.

A low AUROC says beforehand that `clp` prunes the wrong channels of this attack on this network.
"""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

import torch
from torch import Tensor

from benchbd.api import (
    BACKDOORED,
    Analysis,
    Classifier,
    Findings,
    Lines,
    Measure,
    NotApplicable,
    Scene,
    param,
)
from benchbd_zoo.analysis.tac import changes_of, deepest, rank_correlation, top_channels
from benchbd_zoo.defense.clp import lipschitz_constants, pairs

OUTLYING = 3.0
"""Standard deviations above the mean from which `clp` prunes by default."""


class Lipschitz(Analysis):
    """Reads weights; two forward passes over the pairs through the backdoored model."""

    api = 1
    quick: ClassVar = {"images": 16}
    measures: ClassVar = {
        "auroc": Measure(
            "AUROC of the constant for whether a channel is one of the backdoor, mean over layers",
            low=0,
            high=1,
        ),
        "order": Measure(
            "rank correlation of the constants with the trigger-activated change in the backdoored "
            "model, mean over layers",
            low=-1,
            high=1,
        ),
        "caught": Measure(
            f"share of the channels of the backdoor whose constant lies {OUTLYING:g} standard "
            "deviations above the mean of their layer",
            low=0,
            high=1,
        ),
        "largest": Measure(
            "the largest constant of all layers, in standard deviations above the mean of its layer"
        ),
    }

    images: int = param(512, "pairs of test images without and with the trigger", ge=2)

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        constants = {BACKDOORED: constants_of(scene.models[BACKDOORED])}
        changes = changes_of(scene.models[BACKDOORED], scene.pairs(self.images))
        for name, model in scene.models.items():
            with suppress(NotApplicable):  # a repair that changed the architecture
                constants[name] = constants_of(model)
        numbers = {name: _numbers(found, changes) for name, found in constants.items()}
        shared = [layer for layer in changes if layer in constants[BACKDOORED]]
        last = deepest(scene.models[BACKDOORED], shared)
        last = last if last in shared else shared[-1]
        order = changes[last].argsort(descending=True)
        picture = Lines(
            [float(place) for place in range(1, len(order) + 1)],
            {name: scores(c[last])[order] for name, c in constants.items() if last in c},
            f"channels of {last}, by trigger-activated change",
            "Lipschitz constant, standardised",
            "Heights are standard deviations from the mean. The channels of the backdoor stand on "
            "the left; where the curve is high there and low elsewhere, weights alone give them "
            "away.",
        )
        tables = {"channels": _rows(constants, changes)}
        return Findings(numbers, tables, {"deepest_layer": picture})


def constants_of(model: Classifier) -> dict[str, Tensor]:
    """Return UCLC (C,) float64 by the name of the convolution. Raises `NotApplicable` for a network
    in which no BatchNorm alone reads a convolution.
    """
    found = {conv: lipschitz_constants(model, conv, norm) for conv, norm in pairs(model).items()}
    usable = {conv: values.cpu() for conv, values in found.items() if len(values) > 1}
    if not usable:
        raise NotApplicable("no convolution has channels that could be compared")
    return usable


def scores(constants: Tensor) -> Tensor:
    """Return how many standard deviations each of `constants` (C,) lies above their mean; 0 where
    all are equal.
    """
    spread = constants.std(correction=0)
    return (constants - constants.mean()) / spread if float(spread) else torch.zeros_like(constants)


def _numbers(constants: dict[str, Tensor], changes: dict[str, Tensor]) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    aurocs, orders, caught, largest = [], [], [], []
    for layer in changes.keys() & constants.keys():
        top, found = top_channels(changes[layer]), constants[layer]
        aurocs.append(float(roc_auc_score(top.numpy(), found.numpy())))
        orders.append(rank_correlation(found, changes[layer]))
        caught.append(scores(found)[top] > OUTLYING)
        largest.append(float(scores(found).max()))
    if not aurocs:
        return {}
    return {
        "auroc": sum(aurocs) / len(aurocs),
        "order": sum(orders) / len(orders),
        "caught": float(torch.cat(caught).double().mean()),
        "largest": max(largest),
    }


def _rows(
    constants: dict[str, dict[str, Tensor]], changes: dict[str, Tensor]
) -> list[dict[str, object]]:
    return [
        {"model": model, "layer": layer, "channel": channel, "uclc": f"{value:.6g}", "tac": tac}
        for model, found in constants.items()
        for layer in changes
        if layer in found
        for channel, (value, tac) in enumerate(
            zip(found[layer].tolist(), map("{:.6g}".format, changes[layer].tolist()), strict=True)
        )
    ]
