"""The pictures that a method returns, such as reversed triggers, drawn side by side, each with its
name.
"""

from __future__ import annotations

import math
from pathlib import Path

from torch import Tensor

from benchbd.record.files import write

PICTURES_A_ROW = 10


def draw_pictures(pictures: dict[str, Tensor], folder: Path) -> None:
    """Write `pictures.png` to `folder`, or nothing where there are no pictures. pictures: (C, H, W)
    in [0, 1], by name.
    """
    if not pictures:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(PICTURES_A_ROW, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    figure = Figure(
        figsize=(1.3 * columns + 0.3, 1.6 * rows), layout="constrained", facecolor="0.8"
    )
    FigureCanvasAgg(figure)
    places = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in places:
        axes.axis("off")
    for axes, (name, picture) in zip(places, pictures.items(), strict=False):
        pixels = picture.detach().cpu().float().clamp(0, 1)
        shown = pixels[:3].permute(1, 2, 0) if len(pixels) >= 3 else pixels[0]
        axes.imshow(shown.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(name[:16], fontsize=8, parse_math=False)
    write(folder / "pictures.png", lambda file: figure.savefig(file, format="png", dpi=130))
