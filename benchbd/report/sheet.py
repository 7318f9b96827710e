"""A sheet of example images: clean, triggered, and what the trigger changed, amplified."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy
import torch
from torch import Tensor

from benchbd.record.attack_result import AttackResult
from benchbd.record.files import write

SHOWN = 8
"""Images on a sheet, spread over the classes."""


def draw_sheet(result: AttackResult) -> None:
    """Write `images.png` beside the attack result: one column per test image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    places = _spread(result.triggered.true_labels)
    if not len(places):
        return
    clean, triggered = result.test.images[result.triggered.indices[places]], result.triggered.images[places]
    change, factor = amplified(clean, triggered)
    figure = Figure(figsize=(1.25 * len(places) + 1.2, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(3, len(places), squeeze=False)
    names = ("clean", "triggered", f"change x {factor}")
    for row, name, images in zip(rows, names, (clean, triggered, change), strict=True):
        for axes, image in zip(row, images, strict=True):
            axes.imshow(_picture(image), vmin=0, vmax=255, cmap="gray", interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
        row[0].set_ylabel(name)
    for axes, true, attacked in zip(
        rows[0], result.triggered.true_labels[places].tolist(), result.triggered.attacked_labels[places].tolist(), strict=True
    ):
        axes.set_title(f"{result.test.class_names[true]} → {result.test.class_names[attacked]}", fontsize=8)
    write(result.folder / "images.png", lambda file: figure.savefig(file, format="png", dpi=130))


def amplified(clean: Tensor, triggered: Tensor) -> tuple[Tensor, int]:
    """The change around mid-grey, (N, C, H, W) uint8, made visible by a whole factor from 1 to 32."""
    change = triggered.int() - clean.int()
    largest = int(change.abs().max())
    factor = max(1, min(32, 127 // largest)) if largest else 1
    return (128 + factor * change).clamp(0, 255).to(torch.uint8), factor


def _spread(labels: Tensor) -> Tensor:
    """Places of up to `SHOWN` images: the first of every class, then the second, and so on."""
    turns: Counter[int] = Counter()
    order = []
    for place, label in enumerate(labels[:2000].tolist()):
        order.append((turns[label], place))
        turns[label] += 1
    return torch.tensor([place for _, place in sorted(order)[:SHOWN]], dtype=torch.int64)


def _picture(image: Tensor) -> numpy.ndarray[Any, Any]:
    """(C, H, W) to what matplotlib draws: (H, W) for grey, (H, W, 3) for colour."""
    return image[0].numpy() if image.shape[0] == 1 else image[:3].permute(1, 2, 0).numpy()
