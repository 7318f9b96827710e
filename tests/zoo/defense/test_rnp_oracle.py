"""RNP by the test set: a case in which the honest choice is another one."""

from __future__ import annotations

import pytest

from benchbd_zoo.defense.rnp import RNP
from benchbd_zoo.defense.rnp_oracle import RNPOracle
from support import planted_choice


def test_the_oracle_takes_the_lowest_attack_success_of_the_test_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(RNP, "_unlearn", lambda *_: (planted_choice.cornered(), [0.1]))
    monkeypatch.setattr(RNP, "_recover", lambda *_: planted_choice.MASKS)
    outcome = RNPOracle().respond(planted_choice.case())
    assert outcome.sweep is not None
    assert outcome.sweep.path.pruned(outcome.sweep.chosen) == {planted_choice.LAYER: [2]}  # type: ignore[union-attr]
    assert (outcome.notes["honest_choice"], outcome.notes["oracle_choice"]) == (0.3, 0.35)
    assert RNPOracle.oracle and not RNP.oracle
