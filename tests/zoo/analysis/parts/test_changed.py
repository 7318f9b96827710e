"""Which pixels a trigger changes, and how much of a map lies there."""

from __future__ import annotations

import pytest
import torch

from benchbd.api import Pairs
from benchbd_zoo.analysis.parts.changed import (
    changed_pixels,
    lifts,
    mean_lift,
    side_by_side,
    titles,
)


def test_a_pixel_changes_by_more_than_eight_levels_in_any_channel() -> None:
    clean = torch.full((1, 3, 1, 3), 100, dtype=torch.uint8)
    triggered = clean.clone()
    triggered[0, 1, 0] = torch.tensor([91, 108, 109], dtype=torch.uint8)
    none = torch.zeros(1, dtype=torch.int64)
    changed = changed_pixels(Pairs(clean, triggered, none, none))
    assert changed.tolist() == [[[True, False, True]]]


def test_lift_by_hand() -> None:
    """A quarter of the pixels has half of the heat. Images without change, with too much of it, or
    without heat have none.
    """
    heat = torch.tensor([[3.0, 1, 1, 1]]).repeat(4, 1)[:, None]
    heat[3] = 0
    changed = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0]])
    found = lifts(heat, changed[:, None].bool())
    assert found.tolist() == [pytest.approx(2)]
    assert mean_lift(heat[1:], changed[1:, None].bool(), "lift") == {}


def test_pairs_stand_side_by_side() -> None:
    assert side_by_side(torch.tensor([1, 2]), torch.tensor([3, 4])).tolist() == [1, 3, 2, 4]
    assert titles(("ant", "bee"), torch.tensor([1])) == ["bee", "bee\n+ trigger"]
