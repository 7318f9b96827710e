"""The store of results: what is written is read back, and nothing is believed that is not whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from benchbd.errors import RecordError
from benchbd.record.cells import ResultStore, read_cell
from benchbd.record.files import sha256
from support.made_cells import make_cell

NAME = "trial@1/patch/mend/0.json"
PREDICTIONS = safetensors.torch.save({"clean": torch.zeros(3), "triggered": torch.ones(2)})


@pytest.fixture
def results(tmp_path: Path) -> ResultStore:
    """A store that holds one cell with its predictions."""
    found = ResultStore(tmp_path / "results")
    found.write(NAME, make_cell(), PREDICTIONS)
    return found


def test_a_cell_is_read_back_with_the_digest_of_its_predictions(results: ResultStore) -> None:
    cell = results.read(NAME)
    assert cell is not None and cell.predictions is not None
    beside = results.path(NAME).with_name("0.predictions.safetensors")
    assert (cell.predictions.file, cell.predictions.sha256) == (beside.name, sha256(beside))
    assert beside.read_bytes() == PREDICTIONS
    assert cell.model_copy(update={"predictions": None}).sealed() == make_cell()


def test_what_is_not_there_is_no_cell(results: ResultStore) -> None:
    assert results.read("trial@1/patch/mend/1.json") is None
    assert not results.has("trial@1/patch/mend/1.json", make_cell().key)


def test_a_result_of_other_work_is_not_taken_for_this(results: ResultStore) -> None:
    assert results.has(NAME, make_cell().key) and not results.has(NAME, make_cell(seed=1).key)
    with pytest.raises(RecordError, match="is the result of other work"):
        results.read(NAME, make_cell(seed=1).key)


def test_an_undefended_cell_of_other_weights_is_found_beside_the_usual_one(tmp_path: Path) -> None:
    results = ResultStore(tmp_path)
    usual, other = (make_cell(defense="none", attacked_model=digit * 64) for digit in "ab")
    results.write(usual.place, usual)
    assert results.reference(usual.place, usual.key, "a" * 64) == usual
    assert results.reference(usual.place, usual.key, "b" * 64) is None
    results.write(other.reference_place, other)
    assert results.reference(usual.place, usual.key, "b" * 64) == other
    assert list(results) == [usual]
    assert results.names("trial") == {usual.place}


def test_one_that_is_to_be_made_again_does_not_count(results: ResultStore) -> None:
    stored = results.read(NAME)
    assert stored is not None
    assert not results.has(NAME, stored.key, replaced=stored.digest)
    assert results.has(NAME, stored.key, replaced="of another")


@pytest.mark.parametrize("damage", ["changed", "cut short", "no predictions", "other predictions"])
def test_what_is_damaged_is_passed_over_and_told_of(results: ResultStore, damage: str) -> None:
    results.write("trial@1/patch/mend/1.json", make_cell(seed=1))
    path = results.path(NAME)
    beside = path.with_name("0.predictions.safetensors")
    if damage == "changed":
        path.write_text(path.read_text().replace('"seed": 0', '"seed": 7'))
    elif damage == "cut short":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "no predictions":
        beside.unlink()
    else:
        beside.write_bytes(PREDICTIONS[:-1] + b"\x07")
    assert [cell.cell.seed for cell in results] == [1]
    (fault,) = results.faults()
    assert str(path) in fault
    assert not results.has(NAME, make_cell().key)


def test_names_are_those_of_one_protocol(results: ResultStore) -> None:
    results.write("other@1/patch/mend/0.json", make_cell(protocol="other@1"))
    assert results.names("trial@1") == {NAME}


def test_a_file_of_something_else_says_where_it_differs(tmp_path: Path) -> None:
    content = make_cell().to_json() | {"key": 7}
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(RecordError, match=r"is not the result of a cell: key: .* string"):
        read_cell(tmp_path / "a.json")
