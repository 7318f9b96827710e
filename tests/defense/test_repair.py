"""Repairs: what they are handed, what becomes of it, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from benchbd.api import CleanSet, Repaired
from benchbd.errors import ContractBroken
from benchbd.record.attack_result import AttackResult
from support.defenses import Run, Verb, mend, require_clean_budget, weights, wipe


def test_a_repair_is_handed_a_model_clean_images_and_chance(run: Run, stored: AttackResult) -> None:
    handed: list[Any] = []

    def act(*given: Any) -> nn.Module:
        handed.extend(given)
        return given[0]  # type: ignore[no-any-return]

    result = run(mend(act))
    model, clean, rng = handed
    assert torch.equal(weights(model), weights(stored.model))
    assert not any(module.training for module in model.modules())
    assert isinstance(clean, CleanSet)
    require_clean_budget(clean, stored)
    assert isinstance(rng, torch.Generator)
    assert result.cell.cost.clean_samples == len(clean)
    assert result.metrics.model_copy(update={"der": None}) == result.baseline == stored.metrics()


def test_what_a_repair_scribbles_on_stays_with_it(run: Run, stored: AttackResult) -> None:
    before = stored.path.read_bytes()

    def act(model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        for part in (clean.train, clean.validation):
            part.images.zero_()
            part.labels.zero_()
        return wipe(model)

    result = run(mend(act))
    assert stored.path.read_bytes() == before
    assert result.baseline == stored.metrics()
    # all logits are equal, so every image is taken for class 0, the target
    share = float((stored.test.labels == 0).double().mean())
    assert (result.metrics.acc, result.metrics.asr, result.metrics.rc) == (share, 1.0, 0.0)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda model, *_: model.train(), "mend.repair returned a model in training mode"),
        (lambda model, *_: model.network.train() and model, r"training mode \(network\)"),
        (lambda *_: None, "mend.repair returned a NoneType"),
        (lambda model, *_: Repaired(model.state_dict()), "mend.repair returned a OrderedDict"),
        (
            lambda model, *_: Repaired(model, notes={"loss": float("nan")}),
            "mend left notes that are not plain values",
        ),
        (
            lambda model, *_: Repaired(model, notes={"mask": torch.ones(2)}),
            "mend left notes that are not plain values",
        ),
    ],
)
def test_repairs_that_break_the_contract(run: Run, act: Verb, message: str) -> None:
    with pytest.raises(ContractBroken, match=message):
        run(mend(act))


def test_a_repair_applies_to_a_training_controlled_attack(
    controlled: AttackResult, tmp_path: Any
) -> None:
    assert len(controlled.train.indices) == 0
    result = mend(lambda model, *_: model).defense(
        controlled.path, device="cpu", save_path=tmp_path
    )
    assert result.metrics.acc == controlled.metrics().acc
