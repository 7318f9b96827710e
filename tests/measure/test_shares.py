"""ACC, ASR, RC and DER by hand."""

from __future__ import annotations

import pytest

from benchbd.measure.shares import Counts, Metrics, percent


@pytest.mark.parametrize(
    ("before", "after", "der"),
    [
        ((0.90, 1.00), (0.90, 0.00), 1.0),
        ((0.90, 1.00), (0.90, 1.00), 0.5),
        ((0.90, 0.96), (0.84, 0.06), (0.90 - 0.06 + 1) / 2),
        ((0.90, 0.50), (0.95, 0.50), 0.5),
        ((0.90, 0.50), (0.80, 0.70), (0.0 - 0.10 + 1) / 2),
        ((1.00, 0.00), (0.00, 0.00), 0.0),
    ],
)
def test_der_by_hand(before: tuple[float, float], after: tuple[float, float], der: float) -> None:
    def counts(acc: float, asr: float) -> Counts:
        return Counts(
            clean=100,
            clean_hits=round(100 * acc),
            triggered=100,
            attack_hits=round(100 * asr),
            true_hits=0,
        )

    assert Metrics.from_counts(
        counts(*after), Metrics.from_counts(counts(*before))
    ).der == pytest.approx(der)


def test_no_triggered_image_gives_no_asr_rather_than_zero() -> None:
    counts = Counts(clean=4, clean_hits=3, triggered=0, attack_hits=0, true_hits=0)
    metrics = Metrics.from_counts(counts, Metrics(acc=1.0, asr=None, rc=None))
    assert metrics == Metrics(acc=0.75, asr=None, rc=None, der=None)
    assert Metrics.from_counts(counts, Metrics(acc=1.0, asr=0.9, rc=0.1)).der is None


def test_asr_and_rc_cannot_exceed_one_together() -> None:
    Metrics.from_counts(Counts(clean=1, clean_hits=1, triggered=10, attack_hits=6, true_hits=4))
    with pytest.raises(AssertionError, match=r"ASR \+ RC"):
        Metrics.from_counts(Counts(clean=1, clean_hits=1, triggered=10, attack_hits=6, true_hits=5))


@pytest.mark.parametrize(
    ("share", "text"), [(0.97219, "97.2"), (0.0, "0.0"), (1.0, "100.0"), (None, "-")]
)
def test_percent(share: float | None, text: str) -> None:
    assert percent(share) == text
