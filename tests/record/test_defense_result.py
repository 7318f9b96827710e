"""The defense result, stored and read back."""

from __future__ import annotations

import copy
import csv
import dataclasses
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from benchbd.api import CleanSet, Repair, Repaired, Sweep, norm_layers, path_by_number
from benchbd.engine.units import channels
from benchbd.errors import Diverged, RecordError
from benchbd.measure.shares import CurvePoint
from benchbd.plugin.registry import create
from benchbd.record.attack_result import AttackResult
from benchbd.record.csv_table import csv_table
from benchbd.record.defense_result import (
    DefenseResult,
    read_defense_result,
    stored_cell,
)
from benchbd.record.files import sha256
from benchbd.record.tensor_files import read_tensors, write_tensors


class Halve(Repair):
    """Prunes none, half and all channels, reports half."""

    api = 1
    name = "halve"

    def repair(self, model: torch.nn.Module, clean: CleanSet, rng: torch.Generator) -> Repaired:
        worth = {
            name: torch.arange(float(channels(layer, "scale")))
            for name, layer in norm_layers(model).items()
        }
        total = sum(len(values) for values in worth.values())
        path = path_by_number(worth, [0, total // 2, total], "scale")
        sweep = Sweep(path, (0.9, 0.5, 0.1), chosen=1)
        return Repaired(
            path.at(model, 1),
            sweep,
            kept={"first": 0},
            notes={"of": total},
            tensors={"mask": torch.ones(3)},
        )


@pytest.fixture(scope="module")
def result(stored: AttackResult, tmp_path_factory: pytest.TempPathFactory) -> DefenseResult:
    return Halve().defense(stored.path, device="cpu", save_path=tmp_path_factory.mktemp("halve"))


@pytest.mark.parametrize("part", ["model", "kept"])
def test_a_defense_that_came_to_no_number_is_not_stored(
    result: DefenseResult, tmp_path: Path, part: str
) -> None:
    spoilt = copy.deepcopy(result.model)
    next(spoilt.parameters()).data.view(-1)[0] = torch.nan
    given = {"model": spoilt} if part == "model" else {"kept": {"first": spoilt}}
    with pytest.raises(
        Diverged, match=rf"the defense halve in fp32 .* in {part}\..*precision=fp32"
    ):
        dataclasses.replace(result, folder=tmp_path / "new", **given).save()
    assert not (tmp_path / "new").exists()


def test_scores_may_be_undefined_for_some_channels(result: DefenseResult, tmp_path: Path) -> None:
    scores = {"entropy": torch.tensor([1, torch.nan, torch.inf])}
    undefined = dataclasses.replace(result, folder=tmp_path, tensors=scores)
    undefined.save()
    assert read_defense_result(undefined.path)["tensors"]["entropy"].isnan().tolist() == [0, 1, 0]


def test_a_result_whose_json_was_changed_is_not_used_again(
    result: DefenseResult, tmp_path: Path
) -> None:
    """The JSON is what people read, so it must say what the tensors beside it say."""
    kept = result.in_folder(tmp_path / "defense" / "halve")
    kept.save()
    assert stored_cell(tmp_path, "halve", result.cell.key) == read_defense_result(kept.path)["cell"]
    path = kept.folder / "cell.json"
    path.write_text(path.read_text().replace('"precision": "fp32"', '"precision": "bf16"'))
    assert json.loads(path.read_text())["key"] == result.cell.key
    assert stored_cell(tmp_path, "halve", result.cell.key) is None


def test_files(result: DefenseResult) -> None:
    assert {path.name for path in result.folder.iterdir()} == {
        "defense_result.pt",
        "predictions.safetensors",
        "cell.json",
        "curve.csv",
        "curve.png",
        "operating_points.csv",
    }


def test_round_trip(result: DefenseResult) -> None:
    read = read_defense_result(result.path)
    cell = read["cell"]
    assert cell.metrics == result.metrics
    assert cell.to_json() == json.loads((result.folder / "cell.json").read_text())
    assert cell.model_copy(update={"predictions": None, "digest": ""}) == result.cell
    assert cell.is_sealed()
    for name, value in result.model.state_dict().items():
        assert torch.equal(read["model"][name], value)
    assert torch.equal(read["tensors"]["mask"], torch.ones(3))
    assert set(read["kept"]) == {"first"}


def test_predictions_and_their_digest(result: DefenseResult) -> None:
    noted = read_defense_result(result.path)["cell"].predictions
    assert noted.sha256 == sha256(result.folder / noted.file)
    read = safetensors.torch.load_file(result.folder / noted.file)
    assert read["clean"].dtype == torch.uint16
    assert torch.equal(read["clean"].long(), result.clean_predictions)
    assert torch.equal(read["triggered"].long(), result.triggered_predictions)


def test_tables_agree_with_the_cell(result: DefenseResult) -> None:
    rows = list(csv.DictReader((result.folder / "curve.csv").read_text().splitlines()))
    (curve,) = result.cell.curves
    assert [float(row["acc"]) for row in rows] == [point.acc for point in curve.points]
    assert [float(row["validation_acc"]) for row in rows] == [0.9, 0.5, 0.1]
    assert curve.chosen == 1
    assert curve.points[1].acc == result.metrics.acc
    assert (curve.points[0].acc, curve.points[0].asr) == (result.baseline.acc, result.baseline.asr)
    (kept,) = result.cell.operating_points
    assert (kept.name, kept.units, kept.acc, kept.validation_acc) == (
        "first",
        0,
        result.baseline.acc,
        0.9,
    )


def test_none_is_an_empty_field() -> None:
    assert (
        csv_table([CurvePoint(value=1.0, acc=0.5, asr=None, rc=None).model_dump()])
        == "value,units,acc,asr,rc,validation_acc\n1.0,,0.5,,,\n"
    )


def test_what_is_no_defense_result_is_refused(
    result: DefenseResult, stored: AttackResult, tmp_path: Path
) -> None:
    with pytest.raises(RecordError, match="does not hold a defense result"):
        read_defense_result(stored.path)
    content = read_tensors(result.path)
    content["cell"]["seed_of_doubt"] = 1
    with pytest.raises(RecordError, match="does not hold a defense result"):
        read_defense_result(write_tensors(tmp_path / "a.pt", content))


def test_a_cell_that_was_changed_is_refused(result: DefenseResult, tmp_path: Path) -> None:
    content = read_tensors(result.path)
    content["cell"]["metrics"]["acc"] = 0.999
    with pytest.raises(RecordError, match="was changed after it was written"):
        read_defense_result(write_tensors(tmp_path / "a.pt", content))


@pytest.mark.slow
def test_tables_and_pictures_of_an_earlier_result_go(result_file: Path) -> None:
    folder = Halve().defense(result_file, device="cpu").folder
    for name in ("pictures.png", "notes.txt"):
        (folder / name).touch()
    create("defense", "none").defense(result_file, device="cpu", save_path=folder)  # type: ignore[attr-defined]
    assert {path.name for path in folder.iterdir()} == {
        "defense_result.pt",
        "predictions.safetensors",
        "cell.json",
        "notes.txt",
    }


def test_no_defense_measures_what_the_attack_stored(result_file: Path) -> None:
    result = create("defense", "none").defense(result_file, device="cpu")  # type: ignore[attr-defined]
    assert (result.metrics.acc, result.metrics.asr, result.metrics.rc) == (
        result.baseline.acc,
        result.baseline.asr,
        result.baseline.rc,
    )
    assert result.metrics.der == 0.5
    assert result.folder == result_file.parent / "defense" / "none"
