"""ASR above what clean images give, by hand."""

from __future__ import annotations

import pytest

from benchbd.measure.shares import Metrics
from benchbd.measure.target_rate import Utility, effectiveness_above, target_doubt


def counted(b: float | None, before: float | None = 0.0) -> Utility:
    return Utility(
        target_rate=b,
        target_rate_before=before,
        least_class=0,
        least_accuracy=0.5,
        attacked_recall=None,
        attacked_recall_before=None,
        agreement=None,
    )


def test_a_ruined_network_is_paid_for_in_accuracy_alone() -> None:
    """ASR 64.7 with b 64.7: the backdoor is gone, and with it 60 points of ACC."""
    baseline = Metrics(acc=1.0, asr=1.0, rc=0.0)
    assert effectiveness_above(baseline, 0.4, 0.647, counted(0.647)) == pytest.approx(0.7)
    assert effectiveness_above(baseline, 0.4, 0.647, counted(0.0)) == pytest.approx(0.3765)


def test_b_before_the_defense_counts_as_well() -> None:
    """Of an ASR of 100 only 40 are the trigger's, so that removing them is worth 20 points."""
    baseline = Metrics(acc=0.9, asr=1.0, rc=0.0)
    assert effectiveness_above(baseline, 0.9, 0.0, counted(0.0, 0.6)) == pytest.approx(0.7)


@pytest.mark.parametrize("found", [counted(None), counted(0.1, None)])
def test_without_both_rates_there_is_none(found: Utility) -> None:
    assert effectiveness_above(Metrics(acc=1.0, asr=1.0, rc=0.0), 1.0, 0.5, found) is None


@pytest.mark.parametrize(
    ("asr", "b", "doubtful"),
    [(0.647, 0.647, True), (1.0, 0.34, True), (1.0, 0.33, False), (0.1, 0.1, False)],
)
def test_a_doubt_takes_an_asr_that_matters_and_a_third_of_it(
    asr: float, b: float, doubtful: bool
) -> None:
    assert bool(target_doubt(asr, counted(b))) == doubtful
    assert target_doubt(None, counted(b)) == ""
