"""A case that notes who looked at what only the core may see."""

from __future__ import annotations

import pytest
import torch

from benchbd.api import path_by_number
from benchbd.defense.evaluation import measure_sweep
from benchbd.defense.outcome import Sweep
from benchbd.engine.hardware import hardware
from benchbd.record.attack_result import AttackResult
from benchbd.testing.guarded_case import GuardedCase


@pytest.fixture
def case(stored: AttackResult) -> GuardedCase:
    return GuardedCase.over(stored, hardware("cpu", "fp32"), "mend", budget=0.1)


def test_what_a_defender_is_handed_is_nobodys_fault(case: GuardedCase) -> None:
    case.model()
    handed = case.clean(None, None)
    case.train_as_seen()
    case.build_model()()
    assert (case.seen, case.taken) == ([], [len(handed)])


def test_code_outside_of_the_core_that_looks_is_noted(case: GuardedCase) -> None:
    assert len(case.attack.test) > 0
    assert case.attack.triggered is not None
    assert case.seen == ["test", "triggered"]


def test_what_it_has_the_core_look_at_is_noted_too(case: GuardedCase) -> None:
    measure_sweep(
        case, Sweep(path_by_number({"network.bn": torch.zeros(4)}, [0], "scale"), (0.5,), 0)
    )
    assert {"test", "triggered", "clean_predictions"} <= set(case.seen)


def test_a_check_may_see_the_whole(case: GuardedCase, stored: AttackResult) -> None:
    assert case.result is stored
    assert case.result.test is stored.test and case.seen == []
