"""SCALE-UP: consistency by hand, both modes, thresholds honoured, and a planted trigger that
survives scaling.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import Scorer
from benchbd.defense.case import Case
from benchbd.engine.hardware import hardware
from benchbd.engine.inference import EVAL_BATCH
from benchbd.measure.detection import separation
from benchbd.testing import tiny_data
from benchbd_zoo.defense.scale_up import ScaleUp, statistics
from support.planted_backdoor import budget, lit, quarters


class Brightness(nn.Module):
    """Class 0, 1, 2 or 3 for a mean pixel in each fourth of [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.edges = nn.Parameter(torch.tensor([0.25, 0.5, 0.75]))

    def forward(self, x: Tensor) -> Tensor:
        step = (x.mean((1, 2, 3))[:, None] > self.edges).sum(1)
        return nn.functional.one_hot(step, 4).float()


class Red(Brightness):
    """Class 2 for a red pixel in the middle."""

    def forward(self, x: Tensor) -> Tensor:
        red = (x[:, 0, 4, 4] - x[:, 1:, 4, 4].amax(1) > 0.9).float()
        return super().forward(x) + 9 * red[:, None] * torch.eye(4)[2]


def grey(*levels: int) -> Tensor:
    return (
        torch.tensor(levels, dtype=torch.uint8)[:, None, None, None]
        .expand(-1, 3, 8, 8)
        .contiguous()
    )


def scorer(model: nn.Module | None = None, **parameters: Any) -> Scorer:
    return ScaleUp(**parameters).fit(model or quarters(), budget(), torch.Generator())


def test_consistency_by_hand() -> None:
    """5 * (3, 5, 7, 9, 11) stay dark; 20 turns at 5, 7, 9 and 11; 30 at once; white is clipped and
    stays.
    """
    found = scorer(Brightness()).score(grey(5, 20, 30, 255))
    assert found.tolist() == [1.0, 0.2, 0.0, 1.0]


def test_as_the_reference_counts_the_factors_that_keep_the_class() -> None:
    """`SCALE_UP._test` of THUYimingLi/BackdoorBox at af3afd1 (core/defenses/SCALE_UP.py)."""
    found = scorer().score(lit(24).images[12:])
    expected = [1.0, 1.0, 1.0, 0.2, 1.0, 0.6, 0.4, 0.0, 1.0, 0.6, 0.6, 0.0]
    assert found.tolist() == pytest.approx(expected)


def test_only_the_given_factors_count() -> None:
    assert scorer(Brightness(), scale_set=(2, 4)).score(grey(20)).tolist() == [0.5]


def test_statistics_by_class() -> None:
    values, classes = (
        torch.tensor([0.0, 1.0, 0.4, 0.4, 0.7]).double(),
        torch.tensor([0, 0, 1, 1, 2]),
    )
    mean, std = statistics(values, classes, 4)
    whole = (0.5, float(values.std(correction=0)))
    assert mean.tolist() == pytest.approx([0.5, *[whole[0]] * 3])
    assert std.tolist() == pytest.approx([0.5**0.5, *[whole[1]] * 3])


def test_no_spread_at_all_is_no_division_by_zero() -> None:
    mean, std = statistics(torch.ones(3).double(), torch.tensor([0, 1, 1]), 2)
    assert (mean.tolist(), std.tolist()) == ([1, 1], [1, 1])


def test_data_limited_compares_within_the_class() -> None:
    free, limited = (scorer(Brightness(), mode=mode) for mode in ("data_free", "data_limited"))
    clean = budget().train
    mean, std = statistics(free.score(clean.images), torch.zeros(40, dtype=torch.int64), 1)
    torch.testing.assert_close(
        limited.score(grey(5, 20)), (torch.tensor([1.0, 0.2]).double() - mean) / std
    )


@pytest.mark.parametrize("mode", ["data_free", "data_limited"])
def test_a_planted_trigger_survives_scaling(mode: str) -> None:
    """A red pixel stays red; the grey of clean images becomes white at some factor, sooner or
    later.
    """
    good = grey(*range(20, 60))
    bad = good.clone()
    bad[:, :, 4, 4] = torch.tensor([255, 0, 0], dtype=torch.uint8)
    judge = scorer(Red(), mode=mode)
    assert separation(judge.score(good), judge.score(bad))["auroc"] == 1
    healthy = scorer(Brightness(), mode=mode)
    found = separation(healthy.score(good), healthy.score(bad))["auroc"]
    assert found is not None and 0.3 < found < 0.7


@pytest.mark.parametrize("T", [-1.0, 0.5, 0.9])
def test_a_given_threshold_is_honoured(T: float) -> None:
    """Errata: it is stored and used, on every input."""
    attack = tiny_data.attack_result()
    case = Case(attack, hardware("cpu"), "scale_up", attack.clean_budget(0.2))
    outcome = ScaleUp(T=T).respond(case)
    assert outcome.detection is not None and outcome.detection["threshold"] == T
    rejected = scorer(attack.model).score(attack.test.images) > T
    assert outcome.clean_rejected is not None and torch.equal(outcome.clean_rejected, rejected)


def test_an_unset_threshold_comes_from_clean_images() -> None:
    assert ScaleUp(fpr=0.25).threshold(torch.arange(5.0)) == 3


def test_there_is_a_score_for_every_input_in_order() -> None:
    """Errata: more inputs than a batch holds, and not only the first batch is judged."""
    images = lit(EVAL_BATCH + 44).images
    whole = scorer().score(images)
    assert whole.shape == (len(images),)
    assert torch.equal(torch.cat([scorer().score(part) for part in images.split(37)]), whole)
    assert torch.equal(scorer().score(images.flip(0)).flip(0), whole)
