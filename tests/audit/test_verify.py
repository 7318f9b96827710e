"""Verification of a real small result, and of lies about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchbd.audit.verify import verify
from benchbd.errors import RecordError
from benchbd.measure.shares import Counts, Metrics
from benchbd.plugin.registry import create
from benchbd.record.cell import Cell, Predictions
from benchbd.record.cells import read_cell
from benchbd.record.files import sha256, write_json
from support.forged import PREDICTIONS, check, rewrite
from support.made_cells import make_cell, provided, store

Change = Callable[[Cell], Cell]


def test_an_honest_cell_is_recomputed(path: Path) -> None:
    found = check(path)
    assert (found.faults, found.level) == ((), "recomputed")
    assert found.note() is not None


def test_a_changed_number_breaks_the_seal(path: Path) -> None:
    path.write_text(path.read_text().replace('"clean_samples": ', '"clean_samples": 1'))
    assert "was changed after it was written" in check(path).faults[0]


def test_better_numbers_than_the_predictions_give_are_found_out(path: Path) -> None:
    cell = read_cell(path)
    assert cell.counts is not None
    counts = cell.counts.model_copy(update={"attack_hits": cell.counts.attack_hits - 1})
    rewrite(path, counts=counts, metrics=Metrics.from_counts(counts, cell.baseline))
    assert "its predictions give" in check(path).faults[0]
    assert check(path).note() is None


def test_changed_predictions_are_found_out(path: Path) -> None:
    predictions = path.with_name(PREDICTIONS)
    predictions.write_bytes(predictions.read_bytes()[:-1] + b"\x07")
    assert "do not have the digest" in check(path).faults[0]
    predictions.unlink()
    assert "are missing" in check(path).faults[0]


def test_the_name_of_predictions_leads_nowhere_else(path: Path) -> None:
    stolen = Predictions(file=f"../../../{PREDICTIONS}", sha256=sha256(path.with_name(PREDICTIONS)))
    rewrite(path, predictions=stolen)
    assert check(path).level == "recomputed"


def test_a_key_that_is_not_its_own_is_found_out(path: Path) -> None:
    write_json(path, read_cell(path).model_copy(update={"key": "0" * 64}).sealed().to_json())
    assert "is not that of its coordinates" in check(path).faults[0]


def test_an_oracle_must_be_called_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(create("defense", "none")), "oracle", True)
    assert check(path).faults == ("none is an oracle, and the cell does not say so",)
    rewrite(path, flags=read_cell(path).flags.model_copy(update={"oracle": True}))
    assert check(path).faults == ()


def test_a_family_that_is_not_the_methods_is_found_out(path: Path) -> None:
    said = read_cell(path).provenance
    assert said["families"]["defense"] == "repair"
    rewrite(path, provenance=said | {"families": {"defense": "input-detector"}})
    assert check(path).faults == ("none is a repair, and the cell says input-detector",)


def test_impossible_counts_are_found_out(path: Path) -> None:
    rewrite(path, counts=Counts(clean=10, clean_hits=9, triggered=10, attack_hits=6, true_hits=6))
    assert "ASR + RC exceeds 1" in check(path).faults[0]


def test_cells_of_one_attacked_model_must_agree_on_it(tmp_path: Path) -> None:
    other = Metrics(acc=0.5, asr=1.0, rc=0.0)
    folder = store(
        [make_cell(defense="x"), make_cell(defense="y", baseline=other), make_cell(defense="z")],
        tmp_path,
    )
    disagreeing = [
        any("its baseline is not the one" in fault for fault in each.faults)
        for each in verify([folder])
    ]
    assert disagreeing == [False, True, False]


def test_a_missing_data_set_leaves_a_cell_self_reported(path: Path, tmp_path: Path) -> None:
    dataset = provided("imagefolder", provider="benchbd")
    params = create("dataset", "imagefolder", {"path": str(tmp_path / "nowhere")})
    about = read_cell(path).cell
    absent = dataset.model_copy(
        update={
            "params": params.params,
            "aside": params.aside,
            "results_version": params.results_version,
        }
    )
    rewrite(path, cell=about.model_copy(update={"dataset": absent}))
    found = check(path)
    assert (found.faults, found.level) == ((), "self-reported")
    assert "nowhere" in found.obstacle


def test_what_is_no_result_is_a_fault_and_what_is_nowhere_an_error(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"a": NaN}')
    assert "is not the result of a cell" in check(other).faults[0]
    with pytest.raises(RecordError, match="no file or folder"):
        verify([tmp_path / "nowhere"])


def test_not_a_number_is_not_believed(path: Path) -> None:
    path.write_text(path.read_text().replace('"notes": {}', '"notes": {"loss": NaN}'))
    assert len(check(path).faults) == 1
