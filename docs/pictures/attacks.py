"""Draws docs/pictures/attacks.png: the strip of images that a matrix keeps beside the results of
each attack.

python docs/pictures/attacks.py leaderboard/results/digits-all
"""

import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

COLUMNS = 5


def main(results: Path) -> None:
    strips = sorted(results.glob("*/images-*.png"))
    rows = -(-len(strips) // COLUMNS)
    figure = Figure(figsize=(2.5 * COLUMNS, 1.75 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
    for axes in places:
        axes.axis("off")
    for axes, strip in zip(places, strips, strict=False):
        axes.imshow(imread(strip), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(strip.parent.name, fontsize=10, loc="left")
    figure.suptitle(
        "clean, triggered, and the change around mid-grey, amplified",
        x=0.01,
        ha="left",
        fontsize=10,
    )
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
