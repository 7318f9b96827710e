"""Intervals against values worked out by hand, and how often they hold what they promise."""

from __future__ import annotations

import math

import numpy
import pytest

from benchbd.leaderboard.board.interval import Summary, student, summarise, tidy, wilson


@pytest.mark.parametrize(("hits", "total"), [(0, 10), (10, 10), (1, 3), (450, 900), (899, 900)])
def test_wilson_is_its_formula(hits: int, total: int) -> None:
    z, share = 1.959963984540054, hits / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    assert wilson(hits, total) == pytest.approx((middle - half, middle + half), abs=1e-12)


def test_wilson_of_no_hit_in_ten() -> None:
    assert wilson(0, 10) == pytest.approx((0, 0.27753), abs=1e-5)


def test_student_by_hand() -> None:
    # mean 0.5, deviation 0.1, t(0.975, 2 degrees) = 4.302653, half width 4.302653 * 0.1 / sqrt(3)
    assert student([0.4, 0.5, 0.6]) == pytest.approx((0.5 - 0.248414, 0.5 + 0.248414), abs=1e-6)


def test_student_is_clipped_to_shares() -> None:
    assert student([0.8, 0.9, 1.0]) == pytest.approx((0.651586, 1.0), abs=1e-6)
    assert student([0.0, 0.1, 0.2])[0] == 0.0


def test_one_seed_has_the_interval_of_its_images() -> None:
    summary = summarise([0.5], (5, 10))
    assert summary == Summary((0.5,), 0.5, tidy(wilson(5, 10)[0]), tidy(wilson(5, 10)[1]))


def test_one_seed_without_counts_has_no_interval() -> None:
    assert summarise([0.5]) == Summary((0.5,), 0.5)


def test_two_seeds_keep_both_values_and_have_no_interval() -> None:
    assert summarise([0.9, 0.5], (9, 10)) == Summary((0.9, 0.5), 0.7)


def test_seeds_that_agree_give_an_interval_of_no_width() -> None:
    assert summarise([1.0, 1.0, 1.0]) == Summary((1.0, 1.0, 1.0), 1.0, 1.0, 1.0)


def test_nothing_measured_is_no_summary() -> None:
    assert summarise([]) is None


def test_nothing_is_minus_zero() -> None:
    assert math.copysign(1, tidy(-1e-12)) == 1


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_wilson_holds_the_share_about_as_often_as_it_says(share: float) -> None:
    draws = numpy.random.default_rng(0).binomial(400, share, 4000)
    bounds = {int(hits): wilson(int(hits), 400) for hits in set(draws)}
    covered = numpy.mean([bounds[int(hits)][0] <= share <= bounds[int(hits)][1] for hits in draws])
    assert 0.93 <= covered <= 0.975


@pytest.mark.parametrize("seeds", [3, 5])
def test_student_holds_the_mean_about_as_often_as_it_says(seeds: int) -> None:
    draws = numpy.random.default_rng(1).normal(0.5, 0.02, (4000, seeds))
    covered = numpy.mean([low <= 0.5 <= high for low, high in map(student, draws.tolist())])
    assert covered == pytest.approx(
        0.95, abs=0.012
    )  # three and a half standard errors of 4,000 draws
