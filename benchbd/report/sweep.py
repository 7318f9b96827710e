"""The picture of a sweep: for each attack and defense, ACC, ASR and RC along the axis, with
intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbd.record.files import write
from benchbd.report.curves import CURVE_COLOURS, LABELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOTS_A_ROW = 3
BAND = 0.15
"""Opacity of the band of an interval."""


def draw_sweep(axis: str, curves: Sequence[Any], path: Path) -> Path:
    """Write the picture of `curves` (each with `attack`, `defense`, and `points` of summaries over
    seeds) to `path`, and return the path.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(PLOTS_A_ROW, len(curves))
    rows = math.ceil(len(curves) / columns)
    figure = Figure(figsize=(4.0 * columns, 3.0 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    for axes in places[len(curves) :]:
        axes.axis("off")
    for axes, curve in zip(places, curves, strict=False):
        _draw(axes, curve)
        axes.set_xlabel(axis)
    places[0].set_ylim(-3, 103)
    figure.legend(
        *places[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    return write(path, lambda file: figure.savefig(file, format="png", dpi=140))


def _draw(axes: Axes, curve: Any) -> None:
    across = list(range(len(curve.points)))
    for metric in ("acc", "asr", "rc"):
        found = [getattr(point, metric) for point in curve.points]
        means = [float("nan") if each is None else 100 * each.mean for each in found]
        colour = CURVE_COLOURS[metric]
        axes.plot(across, means, marker="o", markersize=4, color=colour, label=LABELS[metric])
        bounds = [
            (place, 100 * each.low, 100 * each.high)
            for place, each in enumerate(found)
            if each is not None and each.low is not None
        ]
        if bounds:
            axes.fill_between(*zip(*bounds, strict=True), color=colour, alpha=BAND, linewidth=0)  # type: ignore[arg-type]
    axes.set_xticks(across, [point.value for point in curve.points], rotation=30, ha="right")
    axes.set_title(f"{curve.defense} against {curve.attack}", fontsize=10, loc="left")
    axes.set_ylabel("%")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
