"""What defenses are worth as detectors, over attacked and healthy models."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.metrics import roc_auc_score

from benchbd.record.cell import Cell
from support.made_boards import of, only
from support.made_cells import attack_named, make_cell


def test_detectors_of_inputs_and_their_false_alarms() -> None:
    figures = {
        "auroc": 0.9,
        "tpr_at_1_fpr": 0.5,
        "tpr_at_5_fpr": 0.7,
        "tpr": 0.8,
        "fpr": 0.06,
        "threshold": 3.0,
    }
    cells = [
        make_cell("a", detection=figures),
        make_cell("b", detection=figures | {"auroc": 0.7}),
        make_cell("nothing", detection={"auroc": None, "fpr": 0.04}),
    ]
    (defense,) = only(of(*cells)).defenses
    facts = defense.detecting
    assert facts is not None
    assert (facts.auroc, facts.tpr_at_1_fpr, facts.tpr_at_5_fpr, facts.fpr) == (0.8, 0.5, 0.7, 0.06)
    assert (facts.clean_fpr, facts.clean_models) == (0.04, 1)
    assert (facts.models, facts.attacked) == (2, 2)


def test_a_detector_without_figures_for_some_models_says_so() -> None:
    cells = [make_cell(attack, "watch", detection={"auroc": 0.9}) for attack in "ab"]
    cells += [
        make_cell("c", "watch", code="timeout", reason="slow"),
        make_cell("d", "none"),
        make_cell("nothing", "none"),
    ]
    facts = next(d.detecting for d in only(of(*cells)).defenses if d.label == "watch")
    assert facts is not None
    assert (facts.models, facts.attacked) == (2, 4)


def test_detectors_of_models_are_judged_over_models() -> None:
    def verdict(attack: str, seed: int, flagged: bool, *scores: float) -> Cell:
        return make_cell(
            attack_named(attack, target=1), seed=seed, detection=said(flagged, *scores)
        )

    bad, good = [3.0, 1.5, 2.5], [1.0, 2.0]
    cells = [verdict("a", seed, score > 2, 0.1, score) for seed, score in enumerate(bad)]
    cells += [verdict("nothing", seed, score > 1.9, score, 0.2) for seed, score in enumerate(good)]
    (defense,) = only(of(*cells)).defenses
    facts = defense.detecting
    assert facts is not None
    assert facts.auroc == pytest.approx(roc_auc_score([1, 1, 1, 0, 0], bad + good), abs=1e-6)
    assert facts.tpr == pytest.approx(2 / 3, abs=1e-6)
    assert (facts.clean_fpr, facts.clean_models) == (0.5, 2)


def said(flagged: bool, *scores: float, attacked: list[int] | None = None) -> dict[str, Any]:
    """What a detector of models says that flags class 1, or nothing."""
    known = {} if attacked is None else {"attacked_classes": attacked}
    return known | {
        "flagged": flagged,
        "flagged_classes": [1] if flagged else [],
        "scores": list(scores),
    }


@pytest.mark.parametrize(
    ("target", "attacked", "share"), [(1, None, 1.0), (0, None, 0.0), (0, [0, 1], 1.0), (1, [2], 0)]
)
def test_a_flag_for_a_wrong_class_is_no_hit(
    target: int, attacked: list[int] | None, share: float
) -> None:
    """The classes that a result says count; without them, the target of the attack."""
    found = said(True, 0.1, 3.0, attacked=attacked)
    cells = [make_cell(attack_named("a", target=target), detection=found)]
    cells += [make_cell("nothing", detection=said(False, 0.1, 0.2))]
    (defense,) = only(of(*cells)).defenses
    assert defense.detecting is not None
    assert (defense.detecting.tpr, defense.detecting.clean_fpr) == (share, 0.0)
    assert defense.detecting.auroc == 1.0


def test_what_is_no_figure_is_no_figure_of_a_detector() -> None:
    (entry,) = only(
        of(make_cell(detection={"auroc": "0.9", "tpr": 7, "fpr": None, "scores": ["high"]}))
    ).entries
    assert entry.detection == {}
