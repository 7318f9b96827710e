"""What the core holds while a defense runs: copies for the defense, and chance that hangs on names
alone.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchbd.defense.case import Case
from benchbd.engine.hardware import Hardware, hardware
from benchbd.engine.recipe import Recipe
from benchbd.record.attack_result import AttackResult
from support.defenses import weights, wipe


@pytest.fixture
def machine() -> Hardware:
    return hardware("cpu", "fp32")


@pytest.fixture
def case(stored: AttackResult, machine: Hardware) -> Case:
    return Case(stored, machine, "mend", budget=0.1)


def test_its_model_is_a_copy(case: Case) -> None:
    before = weights(case.attack.model)
    assert torch.equal(weights(case.model()), before)
    wipe(case.model())
    assert torch.equal(weights(case.attack.model), before)


def test_the_recipe_is_that_of_the_victim(case: Case) -> None:
    assert case.recipe == Recipe(epochs=3, batch_size=32, precision="fp32")


def test_each_defense_draws_its_own_numbers_the_same_at_each_call(
    stored: AttackResult, machine: Hardware
) -> None:
    def drawn(name: str) -> list[float]:
        return torch.rand(3, generator=Case(stored, machine, name).rng).tolist()

    assert drawn("mend") == drawn("mend") != drawn("judge")


@pytest.mark.parametrize(
    ("precision", "alike"), [("fp32", True), ("bf16", False)], ids=["as then", "in bfloat16"]
)
def test_stored_predictions_are_used_where_they_were_made_in_this_way(
    stored: AttackResult, precision: str, alike: bool
) -> None:
    made = Hardware(torch.device("cpu"), bf16=precision == "bf16")
    assert Case(stored, made, "mend").computes_as_victim is alike


def test_the_share_of_the_defense_goes_before_the_budget_and_a_file_before_both(
    case: Case, tmp_path: Path
) -> None:
    (tmp_path / "index.txt").write_text("\n".join(map(str, range(30))))
    counts = torch.bincount(case.attack.train.clean.labels).tolist()

    def held(share: float) -> int:
        return sum(round(share * count) for count in counts)

    assert len(case.clean(None, None)) == held(0.1)
    assert len(case.clean(0.2, None)) == held(0.2)
    assert len(case.clean(0.2, tmp_path / "index.txt")) == 30


def test_fresh_models_are_others_at_each_call_and_the_same_at_each_run(case: Case) -> None:
    first, second = case.build_model(), case.build_model()
    models = [weights(build()) for build in (first, first, second, second)]
    assert torch.equal(models[0], models[2]) and torch.equal(models[1], models[3])
    assert not torch.equal(models[0], models[1])
    assert models[0].shape == weights(case.attack.model).shape
