"""Figures of detectors by hand."""

from __future__ import annotations

import pytest
import torch

from benchbd.measure.detection import flagging, separation


def test_auroc_counts_the_pairs_in_order() -> None:
    good, bad = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([2.0, 5.0, 3.5])
    # pairs (good, bad) with good < bad: 1+4+3 = 8, ties: 1, of 12
    assert separation(good, bad)["auroc"] == pytest.approx((8 + 0.5) / 12)


def test_perfect_and_useless_scores() -> None:
    low, high = torch.zeros(50), torch.ones(50)
    perfect = {"auroc": 1.0, "tpr_at_1_fpr": 1.0, "tpr_at_5_fpr": 1.0, "tpr_at_10_fpr": 1.0}
    assert separation(low, high) == perfect
    assert separation(low, low) == {
        "auroc": 0.5,
        "tpr_at_1_fpr": 0.0,
        "tpr_at_5_fpr": 0.0,
        "tpr_at_10_fpr": 0.0,
    }
    assert separation(high, low)["auroc"] == 0.0


def test_tpr_at_a_fixed_fpr_by_hand() -> None:
    good = torch.arange(100.0)  # 95 and above: 5 %; 90 and above: 10 %
    bad = torch.tensor([200.0, 98.5, 94.5, 94.6, 92.0, 89.5, 3.0, 3.0, 3.0, 3.0])
    found = separation(good, bad)
    assert (found["tpr_at_1_fpr"], found["tpr_at_5_fpr"], found["tpr_at_10_fpr"]) == (0.2, 0.4, 0.6)


def test_points_on_a_straight_part_of_the_curve_are_not_skipped() -> None:
    """One good and one bad sample at each score: TPR equals FPR everywhere."""
    scores = torch.arange(100.0)
    found = separation(scores, scores)
    assert [found[f"tpr_at_{p}_fpr"] for p in (1, 5, 10)] == pytest.approx([0.01, 0.05, 0.10])


def test_nothing_to_tell_apart() -> None:
    none = torch.zeros(0)
    assert set(separation(torch.ones(3), none).values()) == {None}
    assert set(separation(none, torch.ones(3)).values()) == {None}


def test_flags_by_hand() -> None:
    flagged = torch.tensor([1, 1, 1, 0, 0, 0, 0, 0], dtype=torch.bool)
    bad = torch.tensor([1, 1, 0, 1, 1, 0, 0, 0], dtype=torch.bool)
    found = flagging(flagged, bad)
    assert found == {"tpr": 0.5, "fpr": 0.25, "precision": pytest.approx(2 / 3), "recall": 0.5}


def test_undefined_flags_are_none() -> None:
    yes, no = torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool)
    assert flagging(yes, no) == {"tpr": None, "fpr": 1.0, "precision": 0.0, "recall": None}
    assert flagging(no, yes) == {"tpr": 0.0, "fpr": None, "precision": None, "recall": 0.0}
