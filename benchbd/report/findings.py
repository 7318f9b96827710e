"""The pictures of an analysis, drawn from its data as PNG, SVG and PDF."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy
import torch
from torch import Tensor

from benchbd.analysis.findings import Grid, Histogram, Lines, Overlay, Picture, Scatter
from benchbd.record.files import write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000")
"""The palette of Okabe and Ito, whose colours colour-blind readers can tell apart too."""

MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")

PANEL_INCHES = 3.2
PANELS_A_ROW = 4

LEAST_INCHES = 6.4
"""Width that holds the title and the words at the axes of a single panel."""

BINS = 30

LEGEND_ENTRY, LEGEND_LETTER = 0.7, 0.065
"""Inches that an entry of a legend takes, and each letter of its name."""

LONGEST_NAMES = 12
"""Rows or columns of a grid up to which each of them is named."""

MOST_MARKED = 24
"""Places up to which each of them is marked on a curve."""


def draw(picture: Picture, title: str, path: Path) -> list[Path]:
    """Write the picture to `path` in all formats, with their endings, and return the files. Raises
    `Unwritable`.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    repeatable: Any = {"svg.hashsalt": "benchbd", "text.parse_math": False}
    with matplotlib.rc_context(repeatable):  # the same data give the same bytes; no name is TeX
        figure = Figure(figsize=_size(picture, *_layout(picture)), layout="constrained")
        FigureCanvasAgg(figure)
        _DRAWERS[type(picture)](picture, figure)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
        return [
            write(path.with_name(f"{path.name}.{form}"), _saved(figure, form)) for form in FORMATS
        ]


def _saved(figure: Figure, form: str) -> Callable[[IO[bytes]], object]:
    undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[form]
    return lambda file: figure.savefig(file, format=form, dpi=140, metadata=undated)


def _layout(picture: Picture) -> tuple[int, int]:
    """Return the numbers of columns and of rows of panels."""
    if isinstance(picture, Lines):
        return 1, 1
    if isinstance(picture, Overlay):
        return len(picture.images), 1 + len(picture.rows)
    columns = min(PANELS_A_ROW, len(picture.panels))
    return columns, math.ceil(len(picture.panels) / columns)


def _size(picture: Picture, columns: int, rows: int) -> tuple[float, float]:
    """Return width and height in inches."""
    if isinstance(picture, Overlay):
        return 1.15 * columns + 1.0, 1.2 * rows + 0.5
    if isinstance(picture, Lines):
        return 7.0, 4.2
    return max(LEAST_INCHES, PANEL_INCHES * columns), PANEL_INCHES * rows + 0.6


def _panels(figure: Figure, picture: Any, **share: Any) -> list[tuple[str, Axes, Any]]:
    """Return the name, the axes and the data of each panel."""
    columns, rows = _layout(picture)
    places = figure.subplots(rows, columns, squeeze=False, **share).flatten()
    for axes in places[len(picture.panels) :]:
        axes.axis("off")
    found = []
    for axes, (name, data) in zip(places, picture.panels.items(), strict=False):
        axes.set_title(name, fontsize=10)
        found.append((name, axes, data))
    return found


def _scatter(picture: Scatter, figure: Figure) -> None:
    for _, axes, points in _panels(figure, picture):
        for number, name in enumerate(picture.names):
            chosen = points[picture.groups == number].numpy()
            style = _marked(picture, name) if name in picture.marked else _coloured(number)
            axes.scatter(chosen[:, 0], chosen[:, 1], linewidths=0, label=name, **style)
        axes.set_aspect("equal", "datalim")  # distances of both axes are alike
        axes.set_xticks([])
        axes.set_yticks([])
    _legend(figure)


def _coloured(number: int) -> dict[str, Any]:
    """Return how the points of a group look."""
    return {
        "s": 9,
        "alpha": 0.7,
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number // len(COLOURS) % len(MARKERS)],
    }


def _marked(picture: Scatter, name: str) -> dict[str, Any]:
    """Return how the points of a marked group look; its marker is one of the last, which coloured
    groups hardly reach.
    """
    marker = MARKERS[-1 - list(picture.marked).index(name) % len(MARKERS)]
    return {"s": 24, "alpha": 0.8, "color": "black", "marker": marker, "zorder": 3}


def _lines(picture: Lines, figure: Figure) -> None:
    axes = figure.subplots()
    words = [place for place in picture.places if isinstance(place, str)]
    across: Sequence[Any] = range(len(words)) if words else picture.places
    for number, (name, heights) in enumerate(picture.curves.items()):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number // len(COLOURS)]
        axes.plot(across, heights.tolist(), color=colour, label=name)
        if len(across) <= MOST_MARKED:
            axes.plot(across, heights.tolist(), color=colour, marker=marker, markersize=3.5)
    if words:
        axes.set_xticks(across, words, rotation=30, ha="right")
    if picture.span is not None:
        axes.update_datalim([(0, height) for height in picture.span], updatex=False)
        axes.autoscale_view()
    axes.set_xlabel(picture.axis)
    axes.set_ylabel(picture.height)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(figure)


def _histogram(picture: Histogram, figure: Figure) -> None:
    for _, axes, groups in _panels(figure, picture):
        edges = _edges(groups)
        for number, (name, values) in enumerate(groups.items()):
            weights = numpy.full(len(values), 100 / max(1, len(values)))
            axes.hist(
                values.tolist(),
                bins=edges,
                weights=weights,
                alpha=0.6,
                color=COLOURS[number % len(COLOURS)],
                label=name,
            )
        axes.set_xlabel(picture.axis)
        axes.set_ylabel("% of the group")
        axes.spines[["top", "right"]].set_visible(False)
    _legend(figure)


def _edges(groups: Mapping[str, Tensor]) -> list[float]:
    """Return the edges of bins that all groups of a panel share."""
    every = torch.cat([values.double() for values in groups.values()])
    low, high = float(every.min()), float(every.max())
    return torch.linspace(low, high if high > low else low + 1, BINS + 1).tolist()


def _grid(picture: Grid, figure: Figure) -> None:
    for _, axes, shares in _panels(figure, picture):
        axes.imshow(shares.numpy(), vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
        _name_ticks(axes, picture.rows, picture.columns)
        if len(picture.rows) <= LONGEST_NAMES:
            _write_shares(axes, shares)


def _name_ticks(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Name rows and columns, evenly spaced ones where there are too many."""
    across, down = (
        range(0, len(names), math.ceil(len(names) / LONGEST_NAMES)) for names in (columns, rows)
    )
    axes.set_xticks(across, [columns[place] for place in across], rotation=90, fontsize=7)
    axes.set_yticks(down, [rows[place] for place in down], fontsize=7)


def _write_shares(axes: Axes, shares: Tensor) -> None:
    """Write each share that is not 0 into its field, in per cent."""
    for row, column in torch.nonzero(shares >= 0.005).tolist():
        share = float(shares[row, column])
        colour = "black" if share > 0.6 else "white"
        axes.text(
            column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=6, color=colour
        )


def _overlay(picture: Overlay, figure: Figure) -> None:
    columns, rows = _layout(picture)
    places = figure.subplots(rows, columns, squeeze=False)
    for axes, image, title in zip(places[0], picture.images, picture.titles, strict=True):
        axes.imshow(_pixels(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(title, fontsize=7)
    for line, (_, maps) in zip(places[1:], picture.rows.items(), strict=True):
        most = float(maps.max()) or 1.0  # one scale for the whole row
        for axes, image, heat in zip(line, picture.images, maps, strict=True):
            grey = image.float().mean(0).numpy()
            axes.imshow(grey, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.imshow(heat.numpy(), cmap="inferno", vmin=0, vmax=most, alpha=0.6)
    for line, name in zip(places, ("image", *picture.rows), strict=True):
        line[0].set_ylabel(name, fontsize=8)
    for axes in places.flatten():
        axes.set_xticks([])
        axes.set_yticks([])


def _pixels(image: Tensor) -> numpy.ndarray[Any, Any]:
    return (image[:3].permute(1, 2, 0) if len(image) >= 3 else image[0]).numpy()


def _legend(figure: Figure) -> None:
    handles, names = figure.axes[0].get_legend_handles_labels()
    longest = LEGEND_ENTRY + LEGEND_LETTER * max(map(len, names))
    figure.legend(
        handles,
        names,
        loc="outside lower center",
        ncols=max(1, min(len(names), int(figure.get_figwidth() / longest))),
        frameon=False,
        fontsize=8,
    )


_DRAWERS: dict[type[Any], Callable[[Any, Figure], None]] = {
    Scatter: _scatter,
    Lines: _lines,
    Histogram: _histogram,
    Grid: _grid,
    Overlay: _overlay,
}
