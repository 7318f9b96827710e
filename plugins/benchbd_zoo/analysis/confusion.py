"""Where images go before and after a defense: confusion matrices of clean and of triggered images.

    C[i, j] = share of the images of true class i that are predicted as class j

A repair may lower ASR by never answering the attacked class any more, or by moving triggered images
to another wrong class. Neither shows in ACC and ASR; both show here. The last column counts inputs
that a detector turned away.

All numbers follow from stored predictions, so a model that cannot be rebuilt is shown, too.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from benchbd.api import REJECTED, Analysis, Findings, Grid, Measure, Scene

TURNED_AWAY = "turned away"


class Confusion(Analysis):
    """Needs no model; a moment."""

    api = 1
    measures: ClassVar = {
        "least_recall": Measure(
            "recall of the class that is recognised least", low=0, high=1, better="higher"
        ),
        "spread_of_recall": Measure(
            "standard deviation of the recalls of all classes", low=0, high=1, better="lower"
        ),
        "target_recall": Measure(
            "recall of the attacked classes' own clean images", low=0, high=1, better="higher"
        ),
        "to_target": Measure(
            "share of triggered images that are given the attacked class (ASR)",
            low=0,
            high=1,
            better="lower",
        ),
        "to_one_other": Measure(
            "share of triggered images that go to the one wrong class, other than the attacked, to "
            "which most go: a backdoor that was moved",
            low=0,
            high=1,
            better="lower",
        ),
    }

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        names = scene.test.class_names
        numbers, tables, panels = {}, {}, {}
        for model, (clean, triggered) in scene.predictions.items():
            of_clean = matrix(scene.test.labels, clean, len(names))
            numbers[model] = _recalls(of_clean, scene.test.labels, scene.triggered.attacked_labels)
            panels[f"{model}, clean"] = of_clean
            tables[f"{model}_clean"] = _rows(of_clean, names)
            if scene.triggered.is_true_known and bool(scene.triggered.scored.any()):
                scored = scene.triggered.scored
                true, wanted, given = (
                    values[scored]
                    for values in (
                        scene.triggered.true_labels,
                        scene.triggered.attacked_labels,
                        triggered,
                    )
                )
                numbers[model] |= _of_triggered(true, wanted, given)
                panels[f"{model}, triggered"] = matrix(true, given, len(names))
                tables[f"{model}_triggered"] = _rows(panels[f"{model}, triggered"], names)
        picture = Grid(
            panels,
            names,
            (*names, TURNED_AWAY),
            "Each row shows in per cent what the images of one true class are taken for; a sound "
            "model is bright on the diagonal, also with the trigger.",
        )
        return Findings(numbers, tables, {"confusion": picture})


def matrix(true: Tensor, given: Tensor, num_classes: int) -> Tensor:
    """Return C (K, K + 1) from true labels (N,) and predicted classes (N,); the last column is for
    what is no class. A row without images is 0.
    """
    columns = num_classes + 1
    places = true * columns + given.clamp(max=num_classes)
    counts = torch.bincount(places, minlength=num_classes * columns).double()
    counts = counts.reshape(num_classes, columns)
    return counts / counts.sum(1, keepdim=True).clamp(min=1)


def _recalls(of_clean: Tensor, labels: Tensor, attacked: Tensor) -> dict[str, float]:
    present = labels.unique()
    recalls = of_clean.diagonal()[present]
    found = {
        "least_recall": float(recalls.min()),
        "spread_of_recall": float(recalls.std(correction=0)),
    }
    own = torch.isin(labels, attacked.unique())
    if bool(own.any()):
        weights = torch.bincount(labels[own], minlength=len(of_clean)).double()
        found["target_recall"] = float((of_clean.diagonal() * weights).sum() / weights.sum())
    return found


def _of_triggered(true: Tensor, wanted: Tensor, given: Tensor) -> dict[str, float]:
    elsewhere = given[(given != wanted) & (given != true)]
    classes = elsewhere[elsewhere != REJECTED]  # what was turned away went nowhere
    most = int(torch.bincount(classes).max()) if len(classes) else 0
    return {
        "to_target": float((given == wanted).double().mean()),
        "to_one_other": most / len(given),
    }


def _rows(shares: Tensor, names: tuple[str, ...]) -> list[dict[str, object]]:
    return [
        {"true class": name, **dict(zip((*names, TURNED_AWAY), row, strict=True))}
        for name, row in zip(names, shares.tolist(), strict=True)
    ]
