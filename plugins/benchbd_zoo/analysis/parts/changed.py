"""Where a trigger changes an image, and how much of a map lies there."""

from __future__ import annotations

import torch
from torch import Tensor

from benchbd.api import Pairs

LEAST = 8
"""Levels of 255 by which a channel of a pixel changes at least, if the pixel counts as changed."""

MOST = 0.5
"""Share of an image beyond which a trigger has no place of its own."""


def changed_pixels(pairs: Pairs) -> Tensor:
    """Return which pixels the trigger changes, (N, H, W) bool: by more than `LEAST` levels in any
    channel.
    """
    return (pairs.triggered.int() - pairs.clean.int()).abs().amax(1) > LEAST


def lifts(maps: Tensor, changed: Tensor) -> Tensor:
    """Return how much more of each map (N, H, W), at least 0, lies on the changed pixels
    (N, H, W) than would by chance:

        (sum of the map there / sum of the map) / (changed pixels / all pixels)

    1 is chance. One value (M,) for each image whose map is not 0 and of which the trigger changes
    something, but at most `MOST`.
    """
    area, total = changed.double().mean((1, 2)), maps.double().sum((1, 2))
    there = (maps.double() * changed).sum((1, 2))
    usable = (area > 0) & (area <= MOST) & (total > 0)
    return there[usable] / total[usable] / area[usable]


def mean_lift(maps: Tensor, changed: Tensor, name: str) -> dict[str, float]:
    """Return the mean of `lifts` by `name`; nothing where there is none."""
    found = lifts(maps, changed)
    return {name: float(found.mean())} if len(found) else {}


def side_by_side(clean: Tensor, triggered: Tensor) -> Tensor:
    """Return (2 N, ...) in which each of `clean` (N, ...) is followed by the one of `triggered`."""
    return torch.stack([clean, triggered], 1).flatten(0, 1)


def titles(names: tuple[str, ...], labels: Tensor) -> list[str]:
    """Return a word for each image of `side_by_side`, by the true labels (N,)."""
    return [
        f"{names[label]}{ending}" for label in labels.tolist() for ending in ("", "\n+ trigger")
    ]
