"""The picture of a sensitivity study: for every parameter, ACC and ASR along its values, with the
value in use marked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchbd.record.files import write
from benchbd.report.curves import CURVE_COLOURS, LABELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOTS_A_ROW = 4


class StudiedParameter(Protocol):
    """A parameter with its points (`value`, `acc`, `asr`), the value in use, and its score."""

    parameter: str
    own: Any
    points: Sequence[Any]
    score: float | None


def draw_sensitivity(title: str, parameters: Sequence[Any], path: Path) -> Path:
    """Write the picture of `parameters` (each a `StudiedParameter`) to `path`, and return
    the path.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(PLOTS_A_ROW, len(parameters))
    rows = math.ceil(len(parameters) / columns)
    figure = Figure(figsize=(3.1 * columns, 2.5 * rows + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    for axes in places[len(parameters) :]:
        axes.axis("off")
    for axes, studied in zip(places, parameters, strict=False):
        _draw(axes, studied)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    figure.legend(
        *places[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=2,
        frameon=False,
        fontsize=9,
    )
    return write(path, lambda file: figure.savefig(file, format="png", dpi=140))


def _draw(axes: Axes, studied: StudiedParameter) -> None:
    names = [_short(point.value) for point in studied.points]
    for metric in ("acc", "asr"):
        heights = [getattr(point, metric) for point in studied.points]
        shares = [float("nan") if height is None else 100 * height for height in heights]
        axes.plot(
            range(len(names)),
            shares,
            marker="o",
            markersize=4,
            color=CURVE_COLOURS[metric],
            label=LABELS[metric],
        )
    axes.axvline(names.index(_short(studied.own)), color="#000000", linewidth=1, linestyle=":")
    axes.set_xticks(range(len(names)), names, fontsize=7)
    axes.set_ylim(-3, 103)
    score = "" if studied.score is None else f"   {100 * studied.score:.1f}"
    axes.set_title(f"{studied.parameter}{score}", fontsize=9, loc="left")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
