"""Figures of what a method thought of the training samples, by hand, and where nothing
is poisoned.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import PoisonedSet, State
from benchbd.defense.case import Case
from benchbd.defense.outcome import Suspicion
from benchbd.defense.suspects import suspects
from benchbd.errors import ContractBroken

LABELS = torch.tensor([0, 0, 1, 1, 2, 2])


def case(*indices: int, states: tuple[State, ...] = ()) -> Case:
    """Six samples of three classes; the named ones are poisoned, or what `states` says, and given
    the label 0.
    """
    clean = ImageSet(torch.zeros(6, 1, 2, 2, dtype=torch.uint8), LABELS, ("ant", "bee", "cat"))
    kinds = torch.tensor(states or [State.POISONED] * len(indices), dtype=torch.uint8)
    there = torch.tensor(indices, dtype=torch.int64)
    given = torch.where(kinds == State.POISONED, 0, LABELS[there])
    train = PoisonedSet(clean, there, clean.images[there], given, kinds)
    return cast(Case, SimpleNamespace(attack=SimpleNamespace(train=train)))


def figures(case: Case, scores: list[float], threshold: float) -> dict[str, Any]:
    return suspects(Suspicion(torch.tensor(scores), threshold), case, "sieve.score")[1]


def test_figures_by_hand() -> None:
    # poison scores 0.9 and 0.3; of the four others one lies above 0.3 and none above 0.9: 7 of 8
    # pairs are in order
    found = figures(case(2, 4), [0.0, 0.1, 0.9, 0.5, 0.3, 0.2], 0.4)
    assert found["auroc"] == pytest.approx(7 / 8)
    assert (found["precision"], found["recall"], found["tpr"], found["fpr"]) == (
        0.5,
        0.5,
        0.5,
        0.25,
    )
    assert (found["tpr_at_1_fpr"], found["tpr_at_5_fpr"], found["tpr_at_10_fpr"]) == (0.5, 0.5, 0.5)


def test_where_nothing_is_poisoned_flags_are_false_alarms() -> None:
    found = figures(case(), [0.0, 0.1, 0.9, 0.5, 0.3, 0.2], 0.4)
    assert found["fpr"] == pytest.approx(2 / 6)
    assert found["precision"] == 0
    assert [
        found[name]
        for name in ("auroc", "tpr_at_1_fpr", "tpr_at_5_fpr", "tpr_at_10_fpr", "tpr", "recall")
    ] == [None] * 6


def test_where_nothing_is_poisoned_and_nothing_flagged_there_is_no_precision() -> None:
    found = figures(case(), [0.0] * 6, 0.4)
    assert (found["fpr"], found["precision"]) == (0, None)


def test_a_cover_sample_is_no_poison() -> None:
    found = figures(case(2, 4, states=(State.POISONED, State.COVER)), [0, 0, 1, 0, 1, 0], 0.5)
    assert (found["precision"], found["recall"], found["fpr"]) == (0.5, 1.0, pytest.approx(0.2))


@pytest.mark.parametrize(
    ("scores", "emptied"), [([0, 0, 1, 1, 0, 1], [1]), ([1, 1, 0, 0, 1, 1], [0, 2]), ([0] * 6, [])]
)
def test_classes_of_which_nothing_is_left(scores: list[float], emptied: list[int]) -> None:
    assert figures(case(), scores, 0.5)["classes_emptied"] == emptied


def test_classes_go_by_the_labels_as_given() -> None:
    """Of class 1 one sample was relabelled 0; the one that is left to it is flagged."""
    assert figures(case(2), [0, 0, 0, 1, 0, 0], 0.5)["classes_emptied"] == [1]


def test_what_lies_at_the_threshold_is_not_flagged() -> None:
    flagged, _ = suspects(
        Suspicion(torch.tensor([0.4, 0.5, 0.6, 0, 0, 0]), 0.5), case(), "sieve.score"
    )
    assert flagged.tolist() == [False, False, True, False, False, False]


def test_what_is_no_suspicion_is_refused() -> None:
    with pytest.raises(
        ContractBroken, match=r"sieve\.score returned a Tensor, expected a Suspicion"
    ):
        suspects(torch.zeros(6), case(), "sieve.score")
