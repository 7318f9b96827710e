"""Is the backdoor one direction in feature space, and does it suffice to remove it? The causal test
of a trigger direction (Backdoor Directions in Vision Transformers, 2603.10806).

    v = mean(h(x')) - mean(h(x))      from one half of the pairs, at the end of a stage
    on the other half, and at every place of the map:
    removed   ASR with  h <- h - <h, v> v / ||v||^2
    added     share of clean images that are given the attacked class with  h <- h + v
    cost      what the removal costs in accuracy on clean images

The mean over places of a map gives v, one value a channel. Where the attacker has several target
classes, v mixes them, and one direction cannot serve all. The control is a random direction instead
of v: its removal should leave ASR as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    Pairs,
    Scene,
    param,
    predict,
)
from benchbd_zoo.analysis.parts.layers import FEATURES, layer_means


class Direction(Analysis):
    """Five forward passes over the pairs for each stage of each model."""

    api = 1
    quick: ClassVar = {"images": 16}
    measures: ClassVar = {
        "removed": Measure(
            "ASR after the trigger's direction is removed from the penultimate features",
            low=0,
            high=1,
        ),
        "removed_best": Measure("the lowest such ASR at any stage", low=0, high=1),
        "random": Measure("ASR after a random direction is removed there", low=0, high=1),
        "added": Measure(
            "share of clean images that are given the attacked class after the direction is added "
            "to their penultimate features",
            low=0,
            high=1,
        ),
        "cost": Measure(
            "accuracy on clean images that the removal from the penultimate features costs",
            low=-1,
            high=1,
        ),
    }

    images: int = param(512, "pairs of test images without and with the trigger", ge=4)

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        pairs = scene.pairs(self.images)
        if len(pairs) < 2:
            raise NotApplicable("one pair alone cannot be split into halves")
        order = torch.randperm(len(pairs), generator=rng)
        fitted, judged = (_part(pairs, half) for half in order.chunk(2))
        seed = int(torch.randint(2**31, (), generator=rng))
        found = {name: effects(model, fitted, judged, seed) for name, model in scene.models.items()}
        numbers = {
            name: {**of[FEATURES], "removed_best": min(each["removed"] for each in of.values())}
            for name, of in found.items()
        }
        tables = {"layers": _rows(found)}
        return Findings(numbers, tables, {"layers": _over_layers(found)})


def _part(pairs: Pairs, places: Tensor) -> Pairs:
    return Pairs(
        pairs.clean[places],
        pairs.triggered[places],
        pairs.true_labels[places],
        pairs.attacked_labels[places],
    )


def effects(
    model: Classifier, fitted: Pairs, judged: Pairs, seed: int
) -> dict[str, dict[str, float]]:
    """Return by layer what its direction does. seed: of the random direction."""
    rng = torch.Generator().manual_seed(seed)
    without, with_trigger = (layer_means(model, i) for i in (fitted.clean, fitted.triggered))
    accuracy = _share(predict(model, judged.clean), judged.true_labels)
    found = {}
    for layer in without:
        v = with_trigger[layer].mean(0) - without[layer].mean(0)
        other = torch.randn(v.shape, generator=rng)
        with edited(model, layer, removal(v)):
            removed = predict(model, judged.triggered)
            left = predict(model, judged.clean)
        with edited(model, layer, removal(other)):
            control = predict(model, judged.triggered)
        with edited(model, layer, lambda h, v=v: h + v):  # type: ignore[misc]
            added = predict(model, judged.clean)
        found[layer] = {
            "removed": _share(removed, judged.attacked_labels),
            "random": _share(control, judged.attacked_labels),
            "added": _share(added, judged.attacked_labels),
            "cost": accuracy - _share(left, judged.true_labels),
        }
    return found


Edit = Callable[[Tensor], Tensor]


def removal(v: Tensor) -> Edit:
    """Return a function that takes the part along v (D,) out of h (..., D); it changes nothing
    where v is 0.
    """
    unit = v / v.norm().clamp(min=torch.finfo(v.dtype).tiny)
    return lambda h: h - (h @ unit)[..., None] * unit


@contextmanager
def edited(model: Classifier, layer: str, edit: Edit) -> Iterator[None]:
    """Inside the `with` block, pass what `layer` gives out through `edit`, which takes and returns
    (..., D) on the CPU or where the model is. `FEATURES` stands for what goes into the head.
    """

    def of_head(module: object, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (_on_cpu(edit, inputs[0]),)

    def of_layer(module: object, inputs: object, output: Tensor) -> Tensor:
        return _on_cpu(edit, output.movedim(1, -1)).movedim(-1, 1)

    if layer == FEATURES:
        hook = model.head.register_forward_pre_hook(of_head)
    else:
        hook = model.get_submodule(layer).register_forward_hook(of_layer)
    try:
        yield
    finally:
        hook.remove()


def _on_cpu(edit: Edit, h: Tensor) -> Tensor:
    return edit(h.cpu().float()).to(h)


def _share(given: Tensor, wanted: Tensor) -> float:
    return float((given == wanted).double().mean())


def _over_layers(found: dict[str, dict[str, dict[str, float]]]) -> Lines:
    layers, curves = list(found[BACKDOORED]), {}
    for name, of in found.items():
        for kind in ("removed", "added"):
            heights = [of.get(layer, {}).get(kind, float("nan")) for layer in layers]
            curves[f"{name}, {kind}"] = torch.tensor(heights)
    return Lines(
        layers,
        curves,
        "where the direction is taken from and changed",
        "share that is given the attacked class",
        "Where `removed` falls to 0 and `added` rises to 1, the backdoor is this one direction; "
        "`removed` is of triggered images, `added` of clean ones.",
        span=(0, 1),
    )


def _rows(found: dict[str, dict[str, dict[str, float]]]) -> list[dict[str, object]]:
    return [
        {"model": model, "layer": layer, **{key: f"{value:.6g}" for key, value in each.items()}}
        for model, of in found.items()
        for layer, each in of.items()
    ]
