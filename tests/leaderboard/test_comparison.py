"""Paired tests against enumeration, SciPy and values by hand."""

from __future__ import annotations

import itertools

import numpy
import pytest
from scipy import stats

from benchbd.leaderboard.comparison import holm, mcnemar, rank_groups, sign_flip


def by_enumeration(differences: list[float]) -> float:
    """All sign patterns, one by one, in whole steps of 1e-4."""
    steps = [round(d * 10_000) for d in differences]
    patterns = [
        abs(sum(s * d for s, d in zip(signs, steps, strict=True))) for signs in itertools.product((1, -1), repeat=len(steps))
    ]
    return sum(value >= abs(sum(steps)) for value in patterns) / len(patterns)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([0.1, 0.2, 0.3], 2 / 8),
        ([0.1, 0.2, -0.3], 1.0),
        ([0.3, 0.2, -0.1], 4 / 8),
        ([0.2], 1.0),
        ([], 1.0),
        ([0.0, 0.0], 1.0),
        ([0.1, 0.1, 0.1, 0.1, 0.1, 0.1], 2 / 64),
    ],
)
def test_sign_flip_by_hand(differences: list[float], p: float) -> None:
    assert sign_flip(differences) == pytest.approx(p, abs=1e-15)


@pytest.mark.parametrize("seed", range(8))
def test_sign_flip_counts_all_patterns(seed: int) -> None:
    rng = numpy.random.default_rng(seed)
    differences = rng.normal(0.05, 0.1, 11).round(4).tolist()
    assert sign_flip(differences) == pytest.approx(by_enumeration(differences), abs=1e-12)
    assert sign_flip([-d for d in differences]) == sign_flip(differences)


def test_sign_flip_agrees_with_scipy() -> None:
    differences = numpy.random.default_rng(3).normal(0.04, 0.1, 9).round(4)
    exact = stats.permutation_test((differences,), numpy.mean, permutation_type="samples", n_resamples=numpy.inf)
    assert sign_flip(differences.tolist()) == pytest.approx(exact.pvalue, abs=1e-12)


def test_sign_flip_of_forty_attacks_is_exact_too() -> None:
    assert sign_flip([0.3] * 40) == 2.0**-39
    assert sign_flip([0.3] * 39 + [-0.3]) == pytest.approx(2 * (1 + 40) / 2**40, rel=1e-12)


def test_sign_flip_seldom_rejects_what_is_alike() -> None:
    rng = numpy.random.default_rng(5)
    rejected = numpy.mean([sign_flip(rng.normal(0, 0.1, 8).tolist()) <= 0.05 for _ in range(2000)])
    assert 0.03 <= rejected <= 0.062


def test_holm_by_hand() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04, the last raised to 0.06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_mcnemar_by_hand() -> None:
    assert mcnemar(1, 9) == pytest.approx(2 * (1 + 10) / 1024)
    assert mcnemar(5, 5) == 1.0
    assert mcnemar(0, 0) == 1.0


def test_a_group_is_anchored_at_its_best() -> None:
    p = dict.fromkeys(itertools.combinations("abcd", 2), 1.0) | {("a", "c"): 0.01, ("a", "d"): 0.01}
    assert rank_groups("abcd", p) == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_a_small_step_from_the_second_does_not_make_a_group() -> None:
    p = dict.fromkeys(itertools.combinations("abc", 2), 1.0) | {("b", "c"): 0.001}
    assert rank_groups("abc", p) == {"a": 1, "b": 1, "c": 1}


def test_no_names_no_groups() -> None:
    assert rank_groups([], {}) == {}
