"""Luma and two differences in whole levels, against what OpenCV 5.0.0 gives for bytes."""

from __future__ import annotations

import torch
from torch import Tensor

from benchbd_zoo.attack.parts.ycrcb import from_ycrcb, to_ycrcb

COLOURS = [(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (12, 200, 77)]
LEVELS = [(0, 128, 128), (76, 255, 85), (150, 21, 43), (29, 107, 255), (130, 44, 98)]
BACK = [(0, 0, 0), (254, 0, 0), (0, 255, 0), (0, 0, 254), (12, 200, 77)]


def pixels(colours: list[tuple[int, int, int]]) -> Tensor:
    """Images (N, 3, 1, 1) of one pixel."""
    return torch.tensor(colours)[:, :, None, None]


def test_colours_become_the_levels_of_opencv() -> None:
    assert to_ycrcb(pixels(COLOURS).to(torch.uint8)).long().equal(pixels(LEVELS))


def test_levels_become_the_colours_of_opencv() -> None:
    assert from_ycrcb(pixels(LEVELS).float()).clamp(0, 255).long().equal(pixels(BACK))
