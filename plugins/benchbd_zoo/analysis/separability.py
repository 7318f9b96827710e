"""Do poisoned and clean samples of the target class separate in feature space, and at which layer?

    A, B: features h of clean and of poisoned samples of the class that most poisoned ones have
    silhouette      mean of (b - a) / max(a, b) over all samples (Rousseeuw 1987)
    Davies-Bouldin  mean distance to the own centre, summed over A and B, by the distance of the
                    two centres (Davies and Bouldin 1979)
    AUROC           of <h, w> as a score for B, along two directions w:
                    mean(B) - mean(A), and the top right singular vector of the centred union of A
                    and B, which spectral signatures see (Tran, Li and Madry 2018, 1811.00636)

A direction is fitted on one half of the samples and judged on the other: on the samples that it
was fitted on, an AUROC is high where nothing separates. The sign of the singular vector follows the
first half, too.

Features are the penultimate ones, and, for the curve over layers, the mean of each channel at the
end of every stage. Where an attack leaves no training set, test images stand for its samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from benchbd.api import (
    BACKDOORED,
    Analysis,
    Findings,
    Histogram,
    Lines,
    Measure,
    NotApplicable,
    Picture,
    Scene,
    State,
    draw_seed,
    param,
)
from benchbd_zoo.analysis.parts.layers import FEATURES, layer_means
from benchbd_zoo.analysis.parts.samples import drawn, samples
from benchbd_zoo.defense.parts.latent import library

FEWEST = 10
"""Samples of a group that are needed, of which each half still has a mean and each fold two."""

FOLDS = 5


class Separability(Analysis):
    """One forward pass over the samples for each model."""

    api = 1
    quick: ClassVar = {"samples": 40}
    measures: ClassVar = {
        "auroc": Measure(
            "AUROC of poisoned samples among clean ones of the target class along the difference "
            "of their means, penultimate features, fitted on the other half",
            low=0,
            high=1,
        ),
        "auroc_spectral": Measure(
            "the same along the top singular vector of all of them", low=0, high=1
        ),
        "auroc_best_layer": Measure(
            "the largest AUROC along the difference of means of any layer", low=0, high=1
        ),
        "probe": Measure(
            "accuracy of a linear classifier of clean and poisoned, both alike in weight, by "
            "cross-validation",
            low=0,
            high=1,
        ),
        "silhouette": Measure("mean silhouette of clean and poisoned as clusters", low=-1, high=1),
        "davies_bouldin": Measure(
            "spread of clean and poisoned by the distance of their centres; low where they are "
            "apart",
            low=0,
        ),
    }

    samples: int = param(500, "samples of each group, clean and poisoned", ge=FEWEST)

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        known = samples(scene)
        target = known.target()
        groups = [
            drawn(known.places(state, target), self.samples, rng)
            for state in (State.CLEAN, State.POISONED)
        ]
        if min(map(len, groups)) < FEWEST:
            raise NotApplicable(
                f"class {scene.test.class_names[target]} has {len(groups[0])} clean and "
                f"{len(groups[1])} poisoned {known.of}; {FEWEST} of each are needed"
            )
        images = known.pick(torch.cat(groups))
        poisoned = torch.cat([torch.full((len(group),), i > 0) for i, group in enumerate(groups)])
        halves, seed = halved(poisoned, rng), draw_seed(rng)
        layers = {name: layer_means(model, images) for name, model in scene.models.items()}
        curves = {
            name: {layer: held_out(h, poisoned, halves)[0] for layer, h in found.items()}
            for name, found in layers.items()
        }
        numbers = {
            name: _numbers(found[FEATURES], poisoned, halves, seed)
            | {"auroc_best_layer": max(curves[name].values())}
            for name, found in layers.items()
        }
        pictures: dict[str, Picture] = {
            "layers": _over_layers(curves),
            "projections": _projections(layers, poisoned, halves),
        }
        notes = {"of": known.of, "class": scene.test.class_names[target]}
        return Findings(numbers, {"layers": _rows(curves)}, pictures, notes)


def halved(groups: Tensor, rng: torch.Generator) -> Tensor:
    """Return which samples, (N,) bool, are in the first half; a half of each group of `groups`
    (N,), drawn.
    """
    first = torch.zeros(len(groups), dtype=torch.bool)
    for group in groups.unique():
        places = torch.nonzero(groups == group)[:, 0]
        first[drawn(places, len(places) // 2, rng)] = True
    return first


Direction = Callable[[Tensor, Tensor], Tensor]


def mean_difference(h: Tensor, poisoned: Tensor) -> Tensor:
    """Return mean(B) - mean(A), (D,), of features h (N, D) of which `poisoned` (N,) are B."""
    return h[poisoned].mean(0) - h[~poisoned].mean(0)


def spectral_direction(h: Tensor, poisoned: Tensor) -> Tensor:
    """Return the top right singular vector (D,) of centred features h (N, D), towards B."""
    top: Tensor = torch.linalg.svd(h - h.mean(0), full_matrices=False).Vh[0]
    return top if float(top @ mean_difference(h, poisoned)) >= 0 else -top


def held_out(
    h: Tensor, poisoned: Tensor, first: Tensor, direction: Direction = mean_difference
) -> tuple[float, Tensor]:
    """Return the AUROC and the projections of the second half along a direction that is fitted on
    the first.
    """
    from sklearn.metrics import roc_auc_score

    h = h.double()
    along = h[~first] @ direction(h[first], poisoned[first])
    return float(roc_auc_score(poisoned[~first].numpy(), along.numpy())), along


def _numbers(h: Tensor, poisoned: Tensor, first: Tensor, seed: int) -> dict[str, float]:
    from sklearn.metrics import davies_bouldin_score, silhouette_score

    return {
        "auroc": held_out(h, poisoned, first)[0],
        "auroc_spectral": held_out(h, poisoned, first, spectral_direction)[0],
        "probe": _probe(h, poisoned, seed),
        "silhouette": float(silhouette_score(h.numpy(), poisoned.numpy())),
        "davies_bouldin": float(davies_bouldin_score(h.numpy(), poisoned.numpy())),
    }


def _probe(h: Tensor, poisoned: Tensor, seed: int) -> float:
    with library(seed):
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold, cross_val_score
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed % 2**32)
        linear = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
        scores = cross_val_score(
            linear, h.numpy(), poisoned.numpy(), cv=folds, scoring="balanced_accuracy"
        )
    return float(scores.mean())


def _over_layers(curves: Mapping[str, Mapping[str, float]]) -> Lines:
    layers = list(curves[BACKDOORED])
    return Lines(
        layers,
        {
            name: torch.tensor([found.get(layer, float("nan")) for layer in layers])
            for name, found in curves.items()
        },
        "end of a stage",
        "AUROC along the difference of means",
        "At 0.5 poisoned samples cannot be told from clean ones of the target class, at 1 they "
        "lie apart; a curve that rises late means that the trigger is told apart in deep layers.",
        span=(0.5, 1),
    )


def _projections(
    layers: Mapping[str, Mapping[str, Tensor]], poisoned: Tensor, first: Tensor
) -> Histogram:
    of = poisoned[~first]
    panels = {}
    for way, direction in (("means", mean_difference), ("spectral", spectral_direction)):
        for name, found in layers.items():
            _, along = held_out(found[FEATURES], poisoned, first, direction)
            panels[f"{name}, {way}"] = {"clean": along[~of], "poisoned": along[of]}
    return Histogram(
        panels,
        "projection of penultimate features",
        "Samples of the target class along the difference of means and along the top singular "
        "vector, both fitted on other samples; two hills mean that poisoned samples can be "
        "filtered out along that direction.",
    )


def _rows(curves: Mapping[str, Mapping[str, float]]) -> list[dict[str, object]]:
    return [
        {"model": model, "layer": layer, "auroc": f"{value:.6g}"}
        for model, found in curves.items()
        for layer, value in found.items()
    ]
