"""What all families share: chance, budgets, the script form, and what needs a poisoned set."""

from __future__ import annotations

import argparse
import random
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, NotApplicable, Repair, Verdict, param
from benchbd.defense.defense import Defense
from benchbd.errors import ConfigError
from benchbd.record.attack_result import AttackResult
from support.defenses import Constant, Run, judge, mend, school, sieve


def random_states() -> tuple[Any, ...]:
    return (
        torch.get_rng_state().tolist(),
        numpy.random.get_state(legacy=False)["state"]["key"].tolist(),
        random.getstate(),
    )


def test_all_defenses_of_a_seed_hold_the_same_images_and_draw_their_own_numbers(run: Run) -> None:
    held: list[Tensor] = []
    drawn: list[float] = []

    def act(model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Any:
        held.append(clean.all().images)
        drawn.append(float(torch.rand((), generator=rng)))
        return (
            Verdict(torch.zeros(10), torch.zeros(10, dtype=torch.bool)) if len(held) == 3 else model
        )

    for defense in (mend(act), mend(act), judge(act)):
        run(defense)
    assert torch.equal(held[0], held[1])
    assert torch.equal(held[0], held[2])
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_budget_of_the_call_and_of_the_defense(
    run: Run, stored: AttackResult, tmp_path: Any
) -> None:
    sizes: list[int] = []

    def act(model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        sizes.append(len(clean))
        return model

    (tmp_path / "index.txt").write_text("\n".join(str(place) for place in range(30)))
    run(mend(act), clean_budget=0.1)
    run(mend(act, ratio=0.2), clean_budget=0.1)
    run(mend(act, index=tmp_path / "index.txt"))
    counts = torch.bincount(stored.train.clean.labels).tolist()
    assert sizes == [
        sum(round(0.1 * count) for count in counts),
        sum(round(0.2 * count) for count in counts),
        30,
    ]
    with pytest.raises(ConfigError, match=r"clean budget of 0\.001"):
        run(mend(act, ratio=0.001))


def test_global_chance_is_the_same_at_each_run_and_as_before_afterwards(run: Run) -> None:
    drawn: list[tuple[float, ...]] = []

    def act(model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        drawn.append((float(torch.rand(())), float(numpy.random.rand()), random.random()))
        return model

    before = random_states()
    run(mend(act))
    assert random_states() == before
    torch.rand(1)
    run(mend(act))
    assert drawn[0] == drawn[1]


def test_the_script_form(stored: AttackResult, tmp_path: Any) -> None:
    class Script(Repair):
        api = 1
        name = "script"

        answer: int = param(0, "the class to answer", ge=0)

        def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
            return Constant(self.answer).eval()

    parser = Script.add_arguments(argparse.ArgumentParser())
    args = parser.parse_args(["--answer", "7", "--result_file", str(stored.path)])
    result = Script(args).defense(  # type: ignore[call-arg, arg-type]
        args.result_file, device="cpu", save_path=tmp_path
    )
    assert result.metrics.acc == float((stored.test.labels == 7).double().mean())
    assert result.cell.cell.defense.params["answer"] == 7


@pytest.mark.parametrize(
    "defense",
    [school(lambda *_: None), sieve(lambda *_: None)],
    ids=["robust training", "data filter"],
)
def test_without_a_poisoned_set_there_is_nothing_to_train_on_or_to_filter(
    controlled: AttackResult, defense: Defense
) -> None:
    with pytest.raises(
        NotApplicable,
        match=f"controlled controls training itself and leaves no poisoned set for {defense.name}",
    ):
        defense.defense(controlled.path, device="cpu")
    assert not (controlled.folder / "defense").exists()
