"""`benchbd.analyze`: from a stored attack result to findings that are stored and used again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

import benchbd
from benchbd.analysis.scene import BACKDOORED
from benchbd.api import Analysis, Findings, Measure, Scene
from benchbd.errors import BenchbdError, ConfigError, ContractBroken, RecordError
from benchbd.record.attack_result import load_attack_result
from benchbd.record.stored_findings import FINDINGS
from benchbd.running.analyzing import declared_numbers, find_result, look

FT = {"defense.epochs": 1}


class Counted(Analysis):
    """Tells which models it was shown, and how often it looked."""

    api = 1
    name = "counted"
    measures: ClassVar = {"models": Measure("models in the scene", low=1)}
    looked: ClassVar[list[str]] = []

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        self.looked.append(", ".join(scene.models))
        count = float(len(scene.models))
        return Findings({BACKDOORED: {"models": count}}, notes={"drawn": int(rng.initial_seed())})


@pytest.mark.slow
def test_a_defense_that_is_not_stored_is_run_and_both_models_are_shown(result_file: Path) -> None:
    (found,) = benchbd.analyze(result_file, defense="ft", analyses="confusion", settings=FT)
    assert list(found.findings.numbers) == ["backdoored", "ft"]
    attack = load_attack_result(result_file)
    asr = found.findings.numbers["backdoored"]["to_target"]
    assert asr == pytest.approx(attack.metrics().asr)
    cell = json.loads((result_file.parent / "defense/ft/cell.json").read_text())
    assert found.findings.numbers["ft"]["to_target"] == pytest.approx(cell["metrics"]["asr"])
    assert found.findings.defenses == {"ft": cell["key"]}
    assert {path.name for path in found.folder.iterdir()} == {FINDINGS, *found.findings.files}


def test_what_is_stored_is_used_again_and_looked_at_anew_when_told(result_file: Path) -> None:
    attack = load_attack_result(result_file)
    Counted.looked.clear()
    first, again = (look(attack, [], [Counted()], device="cpu")[0] for _ in range(2))
    assert (first.reused, again.reused, len(Counted.looked)) == (False, True, 1)
    assert again.findings == first.findings
    (anew,) = look(attack, [], [Counted()], device="cpu", again=True)
    assert not anew.reused and anew.findings.notes == first.findings.notes, "the draws are its own"


def test_numbers_are_held_against_their_declaration() -> None:
    with pytest.raises(ContractBroken, match=r"returned the number 'weight'.*do not declare"):
        declared_numbers(Findings({"ft": {"weight": 1.0}}), Counted())
    with pytest.raises(ContractBroken, match=r"models = 0\.0 for ft, expected a number from 1"):
        declared_numbers(Findings({"ft": {"models": 0.0}}), Counted())
    with pytest.raises(ContractBroken, match="models = nan"):
        declared_numbers(Findings({"ft": {"models": float("nan")}}), Counted())


def test_a_result_is_found_by_the_first_digits_of_its_key(
    result_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    attack = load_attack_result(result_file)
    folder = Path("record/mine")
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"key": attack.key}))
    assert find_result(attack.key[:8]) == (folder, ())
    with pytest.raises(RecordError, match="begins with 0000000000, found none"):
        find_result("0000000000")
    assert find_result("record/mine") == (Path("record/mine"), ())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"analyses": "confusoin"}, "did you mean 'confusion'"),
        ({"settings": {"analysis.imags": 3}}, "has no parameter 'imags'"),
        ({"settings": {"recipe.epochs": 3}}, "expected KIND.PARAM with a kind of analysis"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises(BenchbdError, match=told):
        benchbd.analyze("no-such-result", **options)


@pytest.mark.slow
def test_a_defense_that_leaves_no_model_is_told(result_file: Path) -> None:
    with pytest.raises(ConfigError, match="left no model to look at"):
        benchbd.analyze(
            result_file, defense="ft", analyses="confusion", settings={"defense.ratio": 0.001}
        )
