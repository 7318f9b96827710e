"""Which stored defense results a run believes, and what becomes of a defense that fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbd.defense.defense import Defense
from benchbd.plugin.registry import create
from benchbd.record.attack_result import AttackResult, load_attack_result
from benchbd.record.cell import Cell
from benchbd.record.defense_result import read_defense_result
from benchbd.record.files import write_json
from benchbd.record.tensor_files import write_tensors
from benchbd.running.defending import defend, find_stored_cell
from benchbd.running.options import RunOptions
from benchbd.running.preparing import PreparedRun, prepare


@pytest.fixture
def attack(result_file: Path) -> AttackResult:
    return load_attack_result(result_file)


def asked(result_file: Path, **options: Any) -> PreparedRun:
    return prepare(RunOptions(result_file=result_file, **options))


@pytest.fixture
def made(attack: AttackResult, result_file: Path) -> Cell:
    """The cell of `none`, stored."""
    return defend(attack, create(Defense, "none"), asked(result_file))


def folder(result_file: Path) -> Path:
    return result_file.parent / "defense" / "none"


def rewritten(result_file: Path, change: Callable[[Cell], Cell]) -> None:
    """Store the cell of `none` as it would be after a change, whole and sealed."""
    path = folder(result_file) / "defense_result.pt"
    content = read_defense_result(path)
    cell = change(content["cell"]).sealed().to_json()
    write_tensors(path, content | {"cell": cell}, maker="a test")
    write_json(folder(result_file) / "cell.json", cell)


def found(attack: AttackResult, prepared: PreparedRun) -> Cell | None:
    return find_stored_cell(attack, create(Defense, "none"), prepared)


def test_what_is_stored_is_found_unless_it_is_to_be_made_again(
    made: Cell, attack: AttackResult, result_file: Path
) -> None:
    again = found(attack, asked(result_file))
    assert again is not None and (again.key, again.metrics) == (made.key, made.metrics)
    assert found(attack, asked(result_file, rerun="defense")) is None
    assert found(attack, asked(result_file, protocol="cifar10-fast")) is None, "another key"


@pytest.mark.parametrize(
    "update",
    [
        lambda cell: {"sources": cell.provenance["sources"] | {"defense.none": "0" * 64}},
        lambda cell: {"started": "2000-01-01T00:00:00+00:00"},
    ],
    ids=["made by another source", "made before the attack result"],
)
def test_what_no_longer_fits_is_not_believed(
    made: Cell, attack: AttackResult, result_file: Path, update: Callable[[Cell], dict[str, Any]]
) -> None:
    rewritten(result_file, lambda cell: cell)
    assert found(attack, asked(result_file)) is not None
    rewritten(
        result_file,
        lambda cell: cell.model_copy(update={"provenance": cell.provenance | update(cell)}),
    )
    assert found(attack, asked(result_file)) is None


def test_a_result_of_another_network_of_the_same_key_is_not_believed(
    made: Cell, attack: AttackResult, result_file: Path
) -> None:
    assert made.baseline is not None
    other = made.baseline.model_copy(update={"acc": 0.0})
    rewritten(result_file, lambda cell: cell.model_copy(update={"baseline": other}))
    assert found(attack, asked(result_file)) is None


@pytest.mark.parametrize("name", ["defense_result.pt", "predictions.safetensors", "cell.json"])
def test_a_damaged_result_is_not_believed(
    made: Cell, attack: AttackResult, result_file: Path, name: str
) -> None:
    path = folder(result_file) / name
    path.write_bytes(path.read_bytes()[:-3])
    assert found(attack, asked(result_file)) is None
    path.unlink()
    assert found(attack, asked(result_file)) is None


def test_a_failure_is_tried_again(attack: AttackResult, result_file: Path) -> None:
    settings = {"defense.index": "nowhere"}
    prepared = asked(result_file, defense="ft", settings=settings)
    cell = defend(attack, prepared.defenses[0], prepared)
    assert (cell.status.code, cell.status.stage) == ("failed", "defense")
    assert cell.baseline == attack.metrics()
    stored = json.loads((result_file.parent / "defense/ft/cell.json").read_text())
    assert stored["key"] == cell.key
    assert find_stored_cell(attack, prepared.defenses[0], prepared) is None
