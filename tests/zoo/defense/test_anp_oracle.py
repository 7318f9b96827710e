"""ANP by the test set: a case in which the honest choice is another one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchbd_zoo.defense.anp import ANP
from benchbd_zoo.defense.anp_oracle import ANPOracle
from support import planted_choice


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ANP, "_learn_masks", lambda *_: (planted_choice.MASKS, []))


def pruned(defense: ANP) -> tuple[dict[str, list[int]], dict[str, Any]]:
    outcome = defense.respond(planted_choice.case())
    assert outcome.sweep is not None
    path, chosen = outcome.sweep.path, outcome.sweep.chosen
    expected = path.at(planted_choice.cornered(), chosen).state_dict()
    assert all(
        torch.equal(value, expected[name]) for name, value in outcome.model.state_dict().items()
    )
    return path.pruned(chosen), outcome.notes  # type: ignore[union-attr]


def test_erratum_the_honest_choice_reads_the_validation_split() -> None:
    """Pruning the backdoor costs half of accuracy there, so nothing is pruned, whatever the test
    set says.
    """
    channels, notes = pruned(ANP())
    assert (channels, notes["threshold"]) == ({}, 0.3)


def test_the_oracle_takes_the_lowest_attack_success_of_the_test_set() -> None:
    channels, notes = pruned(ANPOracle())
    assert channels == {planted_choice.LAYER: [2]}
    assert (notes["honest_choice"], notes["oracle_choice"]) == (0.3, 0.35)
    assert ANPOracle.oracle and not ANP.oracle


def test_a_fixed_number_is_chosen_over_by_the_oracle_too() -> None:
    channels, notes = pruned(ANPOracle(pruning_by="number", pruning_step=0.34, pruning_number=0))
    assert channels == {planted_choice.LAYER: [2]}
    assert notes["honest_choice"] == 0
