"""The cell that is stored of a defense: what it is about, what it cost, and whose sources it rests
on.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchbd.api import Repaired
from benchbd.defense.case import Case
from benchbd.defense.describe import coordinates
from benchbd.engine.hardware import hardware
from benchbd.record.attack_result import AttackResult
from support.defenses import Constant, Run, mend


def test_a_cell_is_about_its_attack_and_its_defense(stored: AttackResult) -> None:
    case = Case(stored, hardware("cpu", "fp32"), "mend", budget=0.1)
    found = coordinates(mend(lambda model, *_: model, ratio=0.2), case)
    assert (found.attack.name, found.dataset.name, found.model.name) == (
        "badnet",
        "digits",
        "resnet_small",
    )
    assert (found.defense.name, found.defense.params["ratio"]) == ("mend", 0.2)
    assert (found.seed, found.clean_budget, found.recipe["epochs"]) == (0, 0.1, 3)


def test_the_key_tells_apart_defenses_parameters_budgets_and_protocols(
    stored: AttackResult,
) -> None:
    machine = hardware("cpu", "fp32")

    def key(ratio: float | None = None, budget: float = 0.1, protocol: str = "none") -> str:
        defense = mend(lambda model, *_: model, ratio=ratio)
        return coordinates(defense, Case(stored, machine, "mend", budget=budget)).key(protocol)

    others = [key(ratio=0.2), key(budget=0.2), key(protocol="p"), stored.key]
    assert key() == key() and len({key(), *others}) == 5


@pytest.mark.slow
def test_a_result_says_what_was_noted_what_it_cost_and_what_it_rests_on(
    run: Run, stored: AttackResult
) -> None:
    mask = torch.ones(3)
    result = run(
        mend(lambda model, *_: Repaired(model, notes={"loss": 0.5}, tensors={"mask": mask}))
    )
    cell = result.cell
    assert cell.notes == {"loss": 0.5} and torch.equal(result.tensors["mask"], mask)
    assert (cell.protocol, cell.baseline) == ("none", stored.metrics())
    assert (cell.cost.device, cell.cost.precision) == ("cpu", "fp32")
    assert cell.cost.attack_seconds == stored.manifest.cost.seconds
    assert set(cell.provenance["sources"]) > set(stored.manifest.provenance["sources"])
    assert cell.curves == () and cell.operating_points == () and result.kept == {}


def test_what_is_too_bad_to_be_true_is_doubted(run: Run) -> None:
    constant: nn.Module = Constant(3).eval()
    told = run(mend(lambda *_: constant)).cell.doubts
    assert [words for words in ("guessing", "one class for nearly") if words not in str(told)] == []
    assert run(mend(lambda model, *_: model)).cell.doubts == ()
