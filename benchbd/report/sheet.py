"""A sheet of example images: clean, triggered, and the change by the trigger, amplified."""

from __future__ import annotations

import io
from typing import Any

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor

from benchbd.data.images import ImageSet
from benchbd.data.in_turn import in_turn
from benchbd.data.poisoned import TriggeredSet
from benchbd.record.attack_result import AttackResult
from benchbd.record.files import write

SHEET = "images.png"
"""The name of the sheet beside an attack result."""

IMAGES_SHOWN = 8
"""The most images on a sheet. They are spread over the classes."""

STRIP_IMAGES, STRIP_PIXELS = 5, 32
"""The number of images on a strip, and their longest side in pixels."""

GREY_LEVEL = 204
"""The level of the background, from 0 to 255. White triggers are visible against it."""


def draw_sheet(result: AttackResult) -> None:
    """Write `images.png` beside the attack result, with one column per test image. It writes
    nothing where the clean images are missing.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    places = in_turn(result.triggered.true_labels, IMAGES_SHOWN)
    if not bool(result.triggered.paired.all()):  # some have no clean image to show above them
        return
    if not len(places):
        return
    clean, triggered = (
        result.test.images[result.triggered.indices[places]],
        result.triggered.images[places],
    )
    change, factor = amplified(clean, triggered)
    figure = Figure(
        figsize=(1.25 * len(places) + 1.2, 4.4),
        layout="constrained",
        facecolor=str(GREY_LEVEL / 255),
    )
    FigureCanvasAgg(figure)
    rows = figure.subplots(3, 1)
    names = ("clean", "triggered", f"change x {factor}")
    for axes, name, images in zip(rows, names, (clean, triggered, change), strict=True):
        axes.imshow(_strip(images), vmin=0, vmax=255, cmap="gray", interpolation="nearest")
        axes.set_ylabel(name)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_frame_on(False)
    rows[0].xaxis.tick_top()
    rows[0].set_xticks(_centres(clean), _titles(result, places), fontsize=8, parse_math=False)
    rows[0].tick_params(length=0)
    write(result.folder / SHEET, lambda file: figure.savefig(file, format="png", dpi=130))


def thumbnails(test: ImageSet, triggered: TriggeredSet) -> bytes | None:
    """Return a strip of a few small images as PNG, pixel for pixel: the clean images, the triggered
    ones below them, and the change below these.

    Larger images are made smaller. Returns None where clean images are missing, or where the images
    have colours that a PNG cannot hold.
    """
    from matplotlib.image import imsave

    places = in_turn(triggered.true_labels, STRIP_IMAGES)
    if not len(places) or not bool(triggered.paired.all()) or test.images.shape[1] not in (1, 3):
        return None
    clean, stamped = test.images[triggered.indices[places]], triggered.images[places]
    below = F.pad(
        torch.cat([_small(i) for i in (clean, stamped, amplified(clean, stamped)[0])]),
        (0, 0, 0, 2),
        value=GREY_LEVEL,
    )
    file = io.BytesIO()
    imsave(
        file,
        numpy.concatenate([_strip(row) for row in below.split(len(places))]),
        format="png",
        cmap="gray",
        vmin=0,
        vmax=255,
        metadata={"Software": "benchbd"},
    )
    return file.getvalue()


def amplified(clean: Tensor, triggered: Tensor) -> tuple[Tensor, int]:
    """Return the change, (N, C, H, W) uint8 around mid-grey, and the whole factor from 1 to 32 by
    which it was multiplied to be visible.
    """
    change = triggered.int() - clean.int()
    largest = int(change.abs().max())
    factor = max(1, min(32, 127 // largest)) if largest else 1
    return (128 + factor * change).clamp(0, 255).to(torch.uint8), factor


def _small(images: Tensor) -> Tensor:
    """Return the images (N, C, H, W) uint8 reduced to at most `STRIP_PIXELS` pixels a side."""
    height, width = images.shape[2:]
    factor = max(height, width) / STRIP_PIXELS
    if factor <= 1:
        return images
    size = (max(1, round(height / factor)), max(1, round(width / factor)))
    return F.interpolate(images.float(), size, mode="area").round().to(torch.uint8)


def _titles(result: AttackResult, places: Tensor) -> list[str]:
    """Return, for each triggered image, its true class and the class that the attack wants
    for it.
    """
    names, triggered = [_drawn(name) for name in result.test.class_names], result.triggered
    labels = zip(
        triggered.true_labels[places].tolist(),
        triggered.attacked_labels[places].tolist(),
        strict=True,
    )
    return [f"{names[true]} → {names[attacked]}" for true, attacked in labels]


def _drawn(name: str) -> str:
    """Return a name as a font can draw it: on one line, and whole letters only."""
    whole = name.encode(errors="backslashreplace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in whole)


def _strip(images: Tensor) -> numpy.ndarray[Any, Any]:
    """Return the images (N, C, H, W) side by side with grey gaps, in the form that matplotlib
    draws: (H, N * (W + gap)), with colours in the last dimension.

    One picture of all images is drawn many times faster than a picture of each.
    """
    spaced = F.pad(images[:, :3], (0, _gap(images)), value=GREY_LEVEL)
    colours_last = spaced.permute(2, 0, 3, 1).flatten(1, 2).numpy()
    return colours_last[..., 0] if images.shape[1] == 1 else colours_last


def _centres(images: Tensor) -> list[float]:
    """Return the middle of each image on the strip, in pixels."""
    width = images.shape[3]
    return [place * (width + _gap(images)) + (width - 1) / 2 for place in range(len(images))]


def _gap(images: Tensor) -> int:
    return max(1, images.shape[3] // 8)
