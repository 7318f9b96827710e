"""Trigger-activated change (Zheng, Tang, Li and Liu, ECCV 2022, 2208.03111): which channels carry
the backdoor, and what a defense left of them.

    TAC_k = mean over pairs (x, x') of  || F_k(x') - F_k(x) ||_2

F_k: the map of channel k of a convolution, the norm over its places; x' is x with the trigger.

The numbers are means over all convolutions: how much of the change lies in few channels, and how
much of the change of those few is left after a defense. A repair that prunes the
backdoor leaves little there and everything elsewhere; one that damps the whole network, or only
moves its head, leaves it as it was.

Departs from the paper: means are over up to `images` pairs, the first of every class in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from benchbd.api import (
    BACKDOORED,
    Analysis,
    Findings,
    Lines,
    Measure,
    NotApplicable,
    Pairs,
    Scene,
    conv_layers,
    deepest_convolution,
    logits,
    param,
    trace,
    watching_outputs,
)

TOP = 0.05
"""Share of the channels of a layer that count as those of the backdoor."""


class TAC(Analysis):
    """Two forward passes over the pairs for each model."""

    api = 1
    measures: ClassVar = {
        "concentration": Measure(
            "share of the change of all channels, a layer at a time, that lies in the "
            f"{100 * TOP:.0f} % that change most, mean over layers",
            low=0,
            high=1,
        ),
        "left": Measure(
            "change of the channels that changed most in the backdoored model, as a share of what "
            "it was there; mean over layers",
            low=0,
            better="lower",
        ),
        "left_elsewhere": Measure("the same for all other channels", low=0),
        "order_kept": Measure(
            "rank correlation of the channels' change with that in the backdoored model, mean over "
            "layers",
            low=-1,
            high=1,
        ),
    }

    images: int = param(512, "pairs of test images without and with the trigger", ge=2)

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        pairs = scene.pairs(self.images)
        changes = {name: changes_of(model, pairs) for name, model in scene.models.items()}
        before = changes[BACKDOORED]
        numbers = {name: _numbers(found, before) for name, found in changes.items()}
        last = deepest(scene.models[BACKDOORED], list(before))
        order = before[last].argsort(descending=True)
        picture = Lines(
            [float(place) for place in range(1, len(order) + 1)],
            {name: found[last][order] for name, found in changes.items() if last in found},
            f"channels of {last}, by their change in the backdoored model",
            "trigger-activated change",
            "A steep start means that few channels carry the backdoor; a defense that removed it "
            "has brought that start down to the level of the rest.",
        )
        return Findings(numbers, {"channels": _rows(changes)}, {"deepest_layer": picture})


def deepest(model: torch.nn.Module, ran: list[str]) -> str:
    """Return which of the convolutions that ran is behind most others; the one that ran last where
    the code of the network cannot be traced.
    """
    graph = trace(model)
    return (deepest_convolution(graph) if graph is not None else None) or ran[-1]


def changes_of(
    model: torch.nn.Module, pairs: Pairs, layers: Sequence[str] | None = None
) -> dict[str, Tensor]:
    """Return TAC (C,) float64 of every convolution that runs, or of the named layers, by name, in
    the order in which they run. Raises `NotApplicable` for a network without convolutions.
    """
    layers = list(conv_layers(model)) if layers is None else layers
    if not layers:
        raise NotApplicable("the network has no convolution, so no channel has a map")
    totals: dict[str, Tensor] = {}
    for clean, triggered in zip(
        pairs.clean.split(BATCH), pairs.triggered.split(BATCH), strict=True
    ):
        seen: dict[str, list[Tensor]] = {}

        def record(layer: str, output: Tensor, seen: dict[str, list[Tensor]] = seen) -> None:
            seen.setdefault(layer, []).append(output)

        with watching_outputs(model, layers, record):
            logits(model, torch.cat([clean, triggered]))
        for layer, (maps,) in seen.items():
            without, with_trigger = maps.float().chunk(2)
            change = (with_trigger - without).flatten(2).norm(dim=2).sum(0).double().cpu()
            totals[layer] = totals.get(layer, 0) + change
    return {layer: total / len(pairs) for layer, total in totals.items()}


BATCH = 128
"""Pairs that are in memory at a time; both images of a pair go through the network together."""


def _numbers(found: dict[str, Tensor], before: dict[str, Tensor]) -> dict[str, float]:
    shares = [_concentration(change) for change in found.values()]
    numbers = {"concentration": _mean(shares)}
    if found is before:
        return numbers
    left, elsewhere, orders = [], [], []
    for layer, change in found.items():
        top = top_channels(before[layer])
        left.append(_share(change[top], before[layer][top]))
        elsewhere.append(_share(change[~top], before[layer][~top]))
        orders.append(rank_correlation(change, before[layer]))
    return numbers | {
        "left": _mean(left),
        "left_elsewhere": _mean(elsewhere),
        "order_kept": _mean(orders),
    }


def top_channels(change: Tensor) -> Tensor:
    """Return which channels, (C,) bool, count as those of the backdoor, by TAC (C,): those that
    change most, at least one.
    """
    chosen = torch.zeros_like(change, dtype=torch.bool)
    chosen[change.topk(max(1, round(TOP * len(change)))).indices] = True
    return chosen


def _concentration(change: Tensor) -> float:
    return _share(change[top_channels(change)], change)


def _share(part: Tensor, whole: Tensor) -> float:
    total = float(whole.sum())
    return float(part.sum()) / total if total else 0.0


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Return Spearman's rank correlation of two lists of values (C,); 0 where one of them is
    constant.
    """
    from scipy.stats import rankdata

    ranks = torch.stack([torch.from_numpy(rankdata(values.numpy())) for values in (first, second)])
    centred = ranks - ranks.mean(1, keepdim=True)
    lengths = centred.norm(dim=1)
    return float((centred[0] @ centred[1]) / (lengths[0] * lengths[1])) if lengths.all() else 0.0


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _rows(changes: dict[str, dict[str, Tensor]]) -> list[dict[str, object]]:
    return [
        {"model": model, "layer": layer, "channel": channel, "tac": f"{value:.6g}"}
        for model, found in changes.items()
        for layer, change in found.items()
        for channel, value in enumerate(change.tolist())
    ]
