"""Pictures of the curves of a result: ACC, ASR and RC along a sweep, with the chosen step
marked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbd.measure.shares import Curve
from benchbd.record.cell import Cell
from benchbd.record.files import write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchbd.record.defense_result import DefenseResult

CURVE_COLOURS = {"acc": "#0072b2", "asr": "#d55e00", "rc": "#009e73", "validation_acc": "#56b4e9"}
"""The palette of Okabe and Ito, whose colours colour-blind readers can tell apart too."""

LABELS = {"acc": "ACC", "asr": "ASR", "rc": "RC", "validation_acc": "accuracy on validation split"}


def draw_curves(result: DefenseResult) -> None:
    """Write `<curve>.png` beside the result for each of its curves."""
    for curve in result.cell.curves:
        draw_curve(result, curve)


def draw_curve(result: DefenseResult, curve: Curve) -> None:
    """Write `<curve>.png` beside the result: the measures along the curve, with the chosen step
    marked.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _lines(axes, curve)
    _marks(axes, curve, result.cell)
    coordinates = result.cell.cell
    axes.set_title(
        f"{coordinates.defense.name} against {coordinates.attack.name}, "
        f"{coordinates.dataset.name}, seed {coordinates.seed}",
        loc="left",
        fontsize=11,
    )
    axes.set_xlabel(curve.axis)
    axes.set_ylabel(f"% of {curve.split} images")
    axes.set_ylim(-3, 103)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    write(
        result.folder / f"{curve.name}.png",
        lambda file: figure.savefig(file, format="png", dpi=150),
    )


def _lines(axes: Axes, curve: Curve) -> None:
    values = [point.value for point in curve.points]
    for name, colour in CURVE_COLOURS.items():
        heights = [getattr(point, name) for point in curve.points]
        if all(height is None for height in heights):
            continue
        shares = [float("nan") if height is None else 100 * height for height in heights]
        style = (
            {"linestyle": ":", "linewidth": 1.3}
            if name == "validation_acc"
            else {"marker": "o", "markersize": 3.5}
        )
        axes.plot(values, shares, color=colour, label=LABELS[name], **style)  # type: ignore[arg-type]


def _marks(axes: Axes, curve: Curve, cell: Cell) -> None:
    """Draw a line at the reported step, and one at each kept operating point."""
    for point in cell.operating_points if curve.name == "curve" else ():
        axes.axvline(point.value, color="#999999", linewidth=0.8, linestyle="--")
        axes.annotate(
            point.name,
            (point.value, 101),
            fontsize=8,
            rotation=90,
            va="top",
            ha="right",
            color="#555555",
        )
    if curve.chosen is not None:
        axes.axvline(curve.points[curve.chosen].value, color="#000000", linewidth=1, label="chosen")
