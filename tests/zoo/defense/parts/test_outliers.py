"""Channels that stand out in their layer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchbd_zoo.defense.parts.outliers import OutlierRule, path_over_u, standing_out


def test_distance_from_the_mean_in_unbiased_standard_deviations() -> None:
    scores = np.array([1.0, 2, 4, 9])
    expected = (scores - scores.mean()) / scores.std(ddof=1)
    np.testing.assert_allclose(standing_out(torch.tensor(scores)), expected)


def test_what_is_no_number_is_left_out_of_mean_and_spread() -> None:
    # of 1, 3 and 5 the mean is 3 and the standard deviation 2
    assert standing_out(torch.tensor([1.0, math.nan, 3, 5, math.inf])).tolist() == [
        -1,
        -math.inf,
        0,
        1,
        -math.inf,
    ]


@pytest.mark.parametrize("scores", [[2.0], [2.0, 2.0, 2.0], [math.nan, 1.0]])
def test_without_spread_nothing_stands_out(scores: list[float]) -> None:
    assert standing_out(torch.tensor(scores)).tolist() == [-math.inf] * len(scores)


def test_the_path_prunes_what_is_strictly_beyond_u() -> None:
    scores = {"one": torch.tensor([0.0, 0, 0, 10]), "other": torch.tensor([1.0, 3, 5])}
    # of the first layer the last channel lies 1.5 above the mean, of the second 1
    path = path_over_u(scores, (2.0, 1.5, 1.2, 1.0, 0.5, 0.0), "scale")
    assert (path.axis, path.values) == ("u", (2.0, 1.5, 1.2, 1.0, 0.5, 0.0))
    assert path.cuts == (0, 0, 1, 1, 2, 2)
    assert path.pruned(4) == {"one": [3], "other": [2]}


def test_u_itself_joins_the_sweep() -> None:
    path, chosen = OutlierRule(u=1.1, u_min=0, u_max=2, u_num=3).sweep_over_u(
        {"one": torch.tensor([0.0, 0, 0, 10])}, "output"
    )
    assert path.values == (2.0, 1.1, 1.0, 0.0)
    assert (chosen, path.cuts[chosen], path.where) == (1, 1, "output")
