"""Is the backdoor gone, or asleep? The backdoor existence coefficient (Zhu, Liang and Wu, NeurIPS
2024, 2405.16134): how similar the channels of the backdoor in a defended model are to those in the
backdoored one, on triggered images, where a clean model is the zero.

    BEC = mean over layers of  (S(defended) - S(clean)) / (1 - S(clean))
    S(m) = CKA of the maps of model m and of the backdoored model, over triggered images
    CKA(X, Y) = ||Y' X||_F^2 / (||X' X||_F ||Y' Y||_F)
         X, Y: (images, channels x places), each column less its mean (Kornblith et al. 2019,
         1905.00414)

The channels of a layer are the 5 % that the trigger changes most in the backdoored model, by the
analysis `tac`. 1: as backdoored; 0: like the clean twin, the same network trained on clean images.
A repair with an ASR near 0 and a coefficient near 1 has put the backdoor to sleep.

The paper's abstract and figures name these parts; the formula is written from knowledge of it.
Layers are the ends of stages. CKA of few channels is noisy, and another clean twin moves the zero.
A layer at which the clean twin itself agrees with the backdoored model (S above 0.99) says nothing
and is left out. A layer's value is cut off below -0.5 and above 1.5; the table has it whole.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from benchbd.api import (
    BACKDOORED,
    Analysis,
    Findings,
    Lines,
    Measure,
    NotApplicable,
    Scene,
    logits,
    param,
    watching_outputs,
)
from benchbd_zoo.analysis.tac import changes_of, top_channels
from benchbd_zoo.defense.parts.attention import stages

LOW, HIGH = -0.5, 1.5
AGREED = 0.99
CLEAN_TWIN = "clean twin"


class Dormancy(Analysis):
    """One training of a clean twin, which is remembered; then forward passes."""

    api = 1
    quick: ClassVar = {"images": 16}
    measures: ClassVar = {
        "existence": Measure(
            "backdoor existence coefficient: 1 as in the backdoored model, 0 as in a clean one",
            low=LOW,
            high=HIGH,
            better="lower",
        ),
        "similarity": Measure(
            "CKA of the channels of the backdoor with those of the backdoored model, mean over "
            "layers",
            low=0,
            high=1,
        ),
    }

    images: int = param(512, "triggered test images", ge=4)

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        pairs, backdoored = scene.pairs(self.images), scene.models[BACKDOORED]
        layers = list(stages(backdoored, pairs.clean[:1]))
        if not layers:
            raise NotApplicable("the network has no map, whose channels could be compared")
        changes = changes_of(backdoored, pairs, layers)
        channels = {layer: top_channels(change) for layer, change in changes.items()}
        models = {**scene.models, CLEAN_TWIN: scene.clean_twin().eval()}
        before = maps_of(backdoored, pairs.triggered, channels)
        similar = {
            name: similarities(maps_of(model, pairs.triggered, channels), before)
            for name, model in models.items()
        }
        found = {name: existence(each, similar[CLEAN_TWIN]) for name, each in similar.items()}
        numbers = {
            name: _numbers(similar[name], found[name]) for name in scene.models if similar[name]
        }
        picture = Lines(
            layers,
            {
                name: torch.tensor([each.get(layer, float("nan")) for layer in layers])
                for name, each in similar.items()
            },
            "end of a stage",
            "CKA with the backdoored model",
            "All is on triggered images. A defended model near 1 still carries the channels of the "
            "backdoor, however low its ASR; one near the clean twin has lost them.",
            span=(0, 1),
        )
        return Findings(numbers, {"layers": _rows(similar, found)}, {"similarity": picture})


def maps_of(model: nn.Module, images: Tensor, channels: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return by layer what the chosen channels (C,) bool give out, (N, channels x places) float32;
    layers that the model does not have, or of another width, are left out.
    """
    names = dict(model.named_modules())
    seen: dict[str, list[Tensor]] = {}

    def record(layer: str, output: Tensor) -> None:
        if output.shape[1] == len(channels[layer]):
            chosen = output[:, channels[layer].to(output.device)]
            seen.setdefault(layer, []).append(chosen.flatten(1).float().cpu())

    with watching_outputs(model, [layer for layer in channels if layer in names], record):
        logits(model, images)
    return {layer: torch.cat(parts) for layer, parts in seen.items()}


def similarities(maps: dict[str, Tensor], before: dict[str, Tensor]) -> dict[str, float]:
    """Return the CKA of each layer that both have."""
    return {layer: cka(found, before[layer]) for layer, found in maps.items() if layer in before}


def cka(x: Tensor, y: Tensor) -> float:
    """Return the linear CKA of (N, D) and (N, E); 0 where one of them is constant.

    ||Y'X||_F^2 is the product of XX' and YY', place by place, which are (N, N) however many
    columns there are.
    """
    grams = []
    for values in (x, y):
        centred = values.double() - values.double().mean(0)
        grams.append(centred @ centred.T)
    lengths = float(grams[0].norm() * grams[1].norm())
    return min(1.0, float((grams[0] * grams[1]).sum()) / lengths) if lengths else 0.0


def existence(similar: dict[str, float], clean: dict[str, float]) -> dict[str, float]:
    """Return by layer the coefficient, not cut off, from S of a model and S of the clean twin;
    layers at which the twin agrees are left out.
    """
    return {
        layer: (found - clean[layer]) / (1 - clean[layer])
        for layer, found in similar.items()
        if clean.get(layer, 1.0) <= AGREED
    }


def _numbers(similar: dict[str, float], found: dict[str, float]) -> dict[str, float]:
    numbers = {"similarity": sum(similar.values()) / len(similar)}
    if found:
        cut = [min(HIGH, max(LOW, value)) for value in found.values()]
        numbers["existence"] = sum(cut) / len(cut)
    return numbers


def _rows(
    similar: dict[str, dict[str, float]], found: dict[str, dict[str, float]]
) -> list[dict[str, object]]:
    return [
        {
            "model": model,
            "layer": layer,
            "similarity": f"{value:.6g}",
            "existence": f"{found[model][layer]:.6g}" if layer in found[model] else "",
        }
        for model, each in similar.items()
        for layer, value in each.items()
    ]
