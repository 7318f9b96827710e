"""A cell made again: exact on the same kind of processor, by an interval on another."""

from __future__ import annotations

import pytest
from scipy import stats

from benchbd.audit.agreement import judge, prediction_interval, same_kind
from benchbd.record.cell import Cell
from support.made_cells import make_cell

XEON = {"processor": "Xeon", "instructions": "AVX512 amx_tile", "threads": 1}
OTHER = XEON | {"processor": "EPYC"}
SEEDS = [make_cell(seed=seed, hits=(900 + seed, 90, 720), provenance=XEON) for seed in range(4)]


def made(clean_hits: int, provenance: dict[str, object]) -> Cell:
    return make_cell(hits=(clean_hits, 90, 720), provenance=provenance)


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"processor": "EPYC"}, False),
        ({"instructions": "AVX2"}, False),
        ({"threads": 2}, False),
        ({"libraries": {"torch": "2.13.0"}}, False),
    ],
)
def test_one_kind_shares_processor_instructions_threads_and_torch(
    changed: dict[str, object], same: bool
) -> None:
    assert same_kind(SEEDS[0], made(900, XEON | changed)) is same


def test_an_unknown_processor_is_of_no_kind() -> None:
    assert not same_kind(make_cell(), make_cell())


def test_the_same_predictions_agree_wherever_they_were_made() -> None:
    agreement = judge(SEEDS[0], made(900, OTHER), 0, SEEDS, 0.0)
    assert agreement.agrees and agreement.exact


def test_on_the_same_kind_no_prediction_may_differ() -> None:
    agreement = judge(SEEDS[0], made(900, XEON), 2, SEEDS, 0.5)
    assert not agreement.agrees and "the predictions of 2 images differ" in agreement.verdict


def test_the_interval_is_that_of_one_more_value() -> None:
    """Two values of a textbook case: mean 10, deviation 2, n 4, t(3) = 3.182."""
    low, high = prediction_interval([8.0, 9.0, 11.0, 12.0])
    half = 3.182446 * (10 / 3) ** 0.5 * 1.25**0.5
    assert (low, high) == pytest.approx((10 - half, 10 + half))


@pytest.mark.slow
def test_the_interval_holds_one_more_seed_as_often_as_it_says() -> None:
    draws = stats.norm.rvs(size=(2000, 5), random_state=0)
    inside = 0
    for row in draws:
        low, high = prediction_interval(row[:4])
        inside += low <= row[4] <= high
    assert inside / len(draws) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(("clean_hits", "agrees"), [(901, True), (906, True), (910, False)])
def test_another_kind_is_judged_by_the_interval_of_the_seeds(clean_hits: int, agrees: bool) -> None:
    """Of 900, 901, 902, 903 hits: mean 901.5, deviation 1.29, so 901.5 +- 4.6."""
    agreement = judge(SEEDS[0], made(clean_hits, OTHER), 30, SEEDS, 0.0)
    assert (agreement.agrees, agreement.exact) == (agrees, False)
    assert "ACC 89.7 to 90.6" in agreement.verdict


def test_two_seeds_give_no_interval() -> None:
    agreement = judge(SEEDS[0], made(906, OTHER), 30, SEEDS[:2], 0.01)
    assert agreement.agrees and "too few seeds" in agreement.verdict
    assert not judge(SEEDS[0], made(906, OTHER), 30, SEEDS[:2], 0.001).agrees
