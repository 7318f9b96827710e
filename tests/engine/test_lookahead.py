"""Weights that are drawn back to their average, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchbd.engine.lookahead import KEPT_SHARE, PULL_EVERY_STEPS, Lookahead


def single(value: float) -> nn.Module:
    """A network of one weight."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, value)
    return model


def walk(model: nn.Module, pull: Lookahead, steps: int) -> list[float]:
    """The weight after each step, before which the optimizer adds one to it."""
    weights = []
    for _ in range(steps):
        with torch.no_grad():
            next(model.parameters()).add_(1)
        pull.step()
        weights.append(float(next(model.parameters()).detach()))
    return weights


def test_between_two_pulls_nothing_happens() -> None:
    model = single(0)
    assert walk(model, Lookahead(model, steps=100), PULL_EVERY_STEPS - 1) == [1, 2, 3, 4]


def test_a_pull_keeps_a_share_of_the_average_that_grows() -> None:
    model = single(0)
    weights = walk(model, Lookahead(model, steps=20), 10)
    first = PULL_EVERY_STEPS * (1 - KEPT_SHARE * (5 / 20) ** 3)
    kept = KEPT_SHARE * (10 / 20) ** 3
    assert weights[4] == pytest.approx(first)
    assert weights[9] == pytest.approx(kept * first + (1 - kept) * (first + PULL_EVERY_STEPS))


@pytest.mark.parametrize("steps", [3, PULL_EVERY_STEPS])
def test_after_the_last_step_the_model_is_the_average(steps: int) -> None:
    model = single(7)
    assert walk(model, Lookahead(model, steps), steps)[-1] == 7


def test_running_statistics_are_averaged_and_counters_are_not() -> None:
    norm = nn.BatchNorm1d(1)
    pull = Lookahead(norm, steps=1)
    with torch.no_grad():
        norm.running_mean.add_(3)  # type: ignore[union-attr]
        norm.num_batches_tracked.add_(4)  # type: ignore[union-attr]
    pull.step()
    assert (float(norm.running_mean), int(norm.num_batches_tracked)) == (0, 4)  # type: ignore[arg-type]
