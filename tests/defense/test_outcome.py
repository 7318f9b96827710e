"""A sweep holds a validation accuracy for each of its steps, or none at all, and a step that was
chosen.
"""

from __future__ import annotations

import pytest
import torch

from benchbd.api import path_by_number
from benchbd.defense.outcome import Sweep
from benchbd.engine.sweep import SweepPath


@pytest.fixture
def path() -> SweepPath:
    """None, one and two of two channels."""
    return path_by_number({"norm": torch.tensor([0.0, 1.0])}, [0, 1, 2], "scale")


@pytest.mark.parametrize("validated", [(0.9, 0.8, 0.1), None])
@pytest.mark.parametrize("chosen", [0, 2])
def test_every_step_may_be_chosen(
    path: SweepPath, validated: tuple[float, ...] | None, chosen: int
) -> None:
    assert Sweep(path, validated, chosen).chosen == chosen


@pytest.mark.parametrize(
    ("validated", "chosen"),
    [((0.9, 0.8), 0), ((), 0), ((0.9, 0.8, 0.1, 0.1), 0), (None, 3), (None, -1)],
)
def test_what_does_not_fit_its_path_is_no_sweep(
    path: SweepPath, validated: tuple[float, ...] | None, chosen: int
) -> None:
    with pytest.raises(ValueError, match="a validation accuracy for each step, or None, and a cho"):
        Sweep(path, validated, chosen)
