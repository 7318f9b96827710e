"""What stored results tell of the time that the same work will take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchbd.engine.recipe import Recipe
from benchbd.record.cell import Cell, CellCost
from benchbd.record.cells import RESULTS_FOLDER, ResultStore
from benchbd.record.defense_result import CELL_FILE
from benchbd.record.files import write_json
from benchbd.record.stored_seconds import StoredSeconds, attack_seconds, defense_seconds
from support.made_cells import attack_named, make_cell, provided

RECORDS = Path("record")
ABOUT = make_cell().cell


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def took(seconds: float, own: float, **about: Any) -> Cell:
    """A cell whose attack took that many seconds, and whose defense took its own and one to be
    measured.
    """
    cost = CellCost(attack_seconds=seconds, defense_seconds=own, evaluation_seconds=1)
    return make_cell(cost=cost, **about)


def store(*cells: Cell) -> None:
    for cell in cells:
        ResultStore(RESULTS_FOLDER).write(cell.place, cell)


def expected() -> tuple[StoredSeconds | None, StoredSeconds | None]:
    return attack_seconds(ABOUT, RECORDS), defense_seconds(ABOUT, ABOUT.defense, RECORDS)


def test_from_nothing_nothing_is_known() -> None:
    assert expected() == (None, None)


def test_results_of_matrices_and_of_runs_are_asked() -> None:
    store(took(60, 2, seed=0), took(80, 4, seed=1), took(80, 9, seed=1, defense="other"))
    assert expected() == (StoredSeconds(70, 2), StoredSeconds(4, 2)), "2 + 1 and 4 + 1 seconds"
    cell = took(100, 30, seed=2)
    write_json(RECORDS / "patch-pictures-net-seed2-1/defense/mend" / CELL_FILE, cell.to_json())
    assert expected() == (StoredSeconds(80, 3), StoredSeconds(5, 3))


def test_a_defense_takes_as_long_against_another_attack() -> None:
    store(took(500, 7, attack="wave"))
    assert expected() == (None, StoredSeconds(8, 1))


@pytest.mark.parametrize(
    "other",
    [
        {"dataset": provided("pictures", size=32)},
        {"model": provided("net", width=64)},
        {"recipe": Recipe(epochs=100).params},
        {"attack": attack_named("patch", rounds=9), "defense": provided("mend", rounds=9)},
        {"code": "failed"},
    ],
    ids=["data set", "model", "recipe", "parameters", "failed"],
)
def test_other_work_tells_nothing(other: dict[str, Any]) -> None:
    store(took(60, 2, **other))
    assert expected() == (None, None)


def test_a_file_that_cannot_be_read_is_passed_over() -> None:
    store(took(60, 2))
    (RESULTS_FOLDER / "trial/patch/mend/0-damaged.json").write_text("{")
    assert expected() == (StoredSeconds(60, 1), StoredSeconds(3, 1))
