"""Seeds far from their siblings, by hand."""

from __future__ import annotations

import pytest

from benchbd.measure.siblings import outlying, stray_doubts


@pytest.mark.parametrize(
    ("values", "far"),
    [
        ((0.1, 0.11, 0.8), (2,)),
        ((0.1, 0.11, 0.19), ()),  # 0.08 from the median, and a tenth is allowed
        ((0.1, 0.3, 0.5, 0.7, 0.9), ()),  # they spread as a whole
        ((0.1, 0.1, 0.1, 0.1, 0.9, 0.9), (4, 5)),
        ((0.1, 0.9), ()),  # of two nobody knows which
        ((), ()),
    ],
)
def test_far_is_beyond_a_tenth_and_three_deviations_of_the_median(
    values: tuple[float, ...], far: tuple[int, ...]
) -> None:
    assert outlying(dict(enumerate(values))) == far


def test_each_metric_is_told_of_by_itself() -> None:
    alike = {"acc": 0.9, "asr": 0.1, "rc": None}
    shares = {0: alike, 1: alike, 2: alike | {"asr": 0.8}, 3: alike | {"acc": 0.5, "asr": None}}
    assert list(stray_doubts(shares)) == [
        (3, "seed 3 lies far from its siblings in ACC: 50.0 %"),
        (2, "seed 2 lies far from its siblings in ASR: 80.0 %"),
    ]
