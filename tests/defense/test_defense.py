"""What all families share: chance, budgets, the script form, and what needs a poisoned set."""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, NotApplicable, Repair, Verdict, param
from benchbd.defense.defense import Defense
from benchbd.errors import ConfigError
from benchbd.plugin.registry import create, entries, load
from benchbd.record.attack_result import AttackResult
from support.defenses import Constant, Run, judge, mend, school, sieve


def random_states() -> tuple[Any, ...]:
    return (
        torch.get_rng_state().tolist(),
        numpy.random.get_state(legacy=False)["state"]["key"].tolist(),
        random.getstate(),
    )


@pytest.mark.slow
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


@pytest.mark.slow
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


REFERENCE_SCRIPT = """
import argparse, sys
from benchbd_zoo.defense.{name} import {name}

parser = argparse.ArgumentParser(description=sys.argv[0])
{name}.add_arguments(parser)
args = parser.parse_args()
method = {name}(args)
if "result_file" not in args.__dict__:
    args.result_file = "debug_attack"
elif args.result_file is None:
    args.result_file = "debug_attack"
result = method.defense(args.result_file)
print(result.metrics)
"""
"""The form in which the field's reference documentation calls every defense, with its import
changed.
"""


@pytest.mark.slow
def test_a_script_of_the_field_runs_with_nothing_but_its_import_changed(
    result_file: Path, tmp_path: Path
) -> None:
    shutil.copytree(result_file.parent, tmp_path / "record" / "debug_attack")
    script = tmp_path / "script.py"
    script.write_text(REFERENCE_SCRIPT.format(name="clp"))
    ended = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("acc=")
    found = tmp_path / "record" / "debug_attack" / "defense" / "clp" / "defense_result.pt"
    assert found.is_file()


def test_every_defense_is_imported_by_its_own_name_and_by_that_of_its_class() -> None:
    for entry in entries("defense"):
        cls = load(Defense, entry.name)
        module = sys.modules[cls.__module__]
        if entry.provider == "benchbd" and module.__name__.endswith(f".{cls.name}"):
            assert getattr(module, cls.name) is getattr(module, cls.__name__) is cls


def test_a_script_that_names_no_attack_result_says_so() -> None:
    with pytest.raises(ConfigError, match="expected an attack result to start from, got None"):
        create(Defense, "clp").defense(None)


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
