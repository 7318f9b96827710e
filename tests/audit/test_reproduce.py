"""A cell made again: the same to the last prediction, on as many threads."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbd.audit import reproduce as reproducing
from benchbd.audit.reproduce import draw, find_result, reproduce
from benchbd.errors import RecordError
from benchbd.record.cells import read_cell
from benchbd.record.files import write_json
from support.forged import rewrite
from support.made_cells import make_cell, store


@pytest.mark.slow
def test_a_cell_made_again_is_the_same_to_the_last_prediction(path: Path, tmp_path: Path) -> None:
    found = reproduce(path, tmp_path / "again", "cpu")
    assert (found.differing_clean, found.differing_triggered, found.difference()) == (0, 0, 0.0)
    agreement = found.agreement(tolerance=0.0)
    assert agreement.agrees and agreement.exact
    assert found.note(agreement).level == "reproduced by another"
    assert [cell.key for cell in found.siblings] == [found.stored.key]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("noted", "used"),
    [(3, 3), (None, 1), (10**9, 1), ("2", 1)],
    ids=["noted", "not noted", "absurd", "text"],
)
def test_a_cell_is_made_again_with_as_many_threads(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: Any, used: int
) -> None:
    """What does not say, or says nonsense, is made with those of its protocol."""
    provenance = read_cell(path).provenance
    assert provenance["threads"] == torch.get_num_threads()
    rewrite(path, protocol="digits-quick@2", provenance=provenance | {"threads": noted})
    asked = []

    def watched(count: int | None) -> AbstractContextManager[None]:
        asked.append(count)
        return nullcontext()

    monkeypatch.setattr(reproducing, "use_threads", watched)
    reproduce(path, tmp_path / "again", "cpu")
    assert asked == [used]


def test_a_failure_cannot_be_reproduced(tmp_path: Path) -> None:
    folder = store([make_cell(code="failed", reason="boom")], tmp_path / "results")
    with pytest.raises(RecordError, match="ended failed"):
        reproduce(next(folder.rglob("*.json")), tmp_path / "again")


def test_results_are_found_by_the_first_digits_of_their_key(tmp_path: Path) -> None:
    cell = make_cell()
    path = write_json(tmp_path / "trial" / f"0-{cell.key[:12]}.json", cell.to_json())
    write_json(tmp_path / "trial" / "0-ffffffffffff.json", make_cell(seed=1).to_json())
    for name in (cell.key, cell.key[:12], cell.key[:7], str(path)):
        assert find_result(name, tmp_path) == path
    with pytest.raises(RecordError, match="no result has a key"):
        find_result("0123456789", tmp_path)
    with pytest.raises(RecordError, match="at least 6 digits"):
        find_result(cell.key[:3], tmp_path)


@pytest.mark.slow
def test_a_lot_is_drawn_again_by_its_seed_and_of_results_that_ended_well(tmp_path: Path) -> None:
    cells = [make_cell(seed=seed) for seed in range(9)]
    folder = store([*cells, make_cell(seed=9, code="failed", reason="x")], tmp_path / "results")
    drawn = [draw(folder, 3, seed) for seed in range(20)]
    assert drawn[5] == draw(folder, 3, 5) and len(set(map(tuple, drawn))) > 10
    assert {path for paths in drawn for path in paths} == {folder / cell.place for cell in cells}
    assert len(draw(folder, 99, 0)) == 9
    with pytest.raises(RecordError, match="nothing to draw from"):
        draw(tmp_path / "nowhere", 3, 0)
