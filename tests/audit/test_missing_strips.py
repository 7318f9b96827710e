"""Strips that the board lacks are made from one of its results."""

from __future__ import annotations

from pathlib import Path

from benchbd.audit.missing_strips import make_strip, missing_strips
from benchbd.leaderboard.board.build import read_board
from benchbd.record.attack_result import AttackResult
from benchbd.record.cells import ResultStore, read_cell
from benchbd.report.sheet import thumbnails
from support.made_cells import make_cell


def test_a_missing_strip_is_made_as_the_matrix_makes_it(
    path: Path, stored: AttackResult, tmp_path: Path
) -> None:
    results, cell = tmp_path / "results", read_cell(path)
    file = ResultStore(results).write(cell.place, cell.model_copy(update={"predictions": None}))
    ((strip, named),) = missing_strips(read_board(results, {}), results).items()
    assert named == file and strip.parent == file.parent.parent
    assert make_strip(strip, named, "cpu") == strip
    assert strip.read_bytes() == thumbnails(stored.test, stored.triggered)
    assert not missing_strips(read_board(results, {}), results)


def test_each_attack_is_made_from_its_first_seed(tmp_path: Path) -> None:
    cells = [make_cell(attack, seed=seed) for attack in ("patch", "blend") for seed in (2, 1, 10)]
    for cell in cells:
        ResultStore(tmp_path).write(cell.place, cell)
    found = missing_strips(read_board(tmp_path, {}), tmp_path)
    assert {strip.parent.name: read_cell(file).cell.seed for strip, file in found.items()} == {
        "patch": 1,
        "blend": 1,
    }
