"""The defense result: the defended model, its predictions and the cell, in one folder.

`defense_result.pt` holds the model's parameters, those of the kept steps of a sweep, the
predictions and the cell; `curve.csv` and `operating_points.csv` the tables of a sweep.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from benchbd.errors import RecordError
from benchbd.measure.shares import Metrics
from benchbd.record.cell import Cell, Predictions, is_whole
from benchbd.record.csv_table import csv_table
from benchbd.record.files import read_json, sha256, write_bytes, write_json, write_text
from benchbd.record.keys import SCHEMA
from benchbd.record.tensor_files import read_tensors, write_tensors

DEFENSE_FILE = "defense_result.pt"
CELL_FILE = "cell.json"
PREDICTIONS_FILE = "predictions.safetensors"

BESIDE_FILES = frozenset(
    {"curve.csv", "curve.png", "epochs.csv", "epochs.png", "operating_points.csv", "pictures.png"}
)
"""Files of tables and pictures that may lie beside a result. It depends on the defense which of
them exist.
"""

ASIDE_ENTRIES = frozenset({"tensors"})
"""Entries that a method stores beside the model for people to look at, such as a score of each
channel. They may hold values that are not finite, because nothing is computed from them.
"""


@dataclass(frozen=True, eq=False)
class DefenseResult:
    """The defended model and what was measured of it. `kept` are pruned models by the name of their
    tolerance.

    `tensors` are stored with the model; `pictures` (C, H, W) in [0, 1] are drawn beside it.
    """

    cell: Cell
    model: nn.Module
    clean_predictions: Tensor
    triggered_predictions: Tensor
    kept: dict[str, nn.Module] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    pictures: dict[str, Tensor] = field(default_factory=dict)
    folder: Path = Path()

    @property
    def path(self) -> Path:
        """The file that `save` writes."""
        return self.folder / DEFENSE_FILE

    @property
    def metrics(self) -> Metrics:
        """ACC, ASR, RC and DER of the defended model."""
        assert self.cell.metrics is not None
        return self.cell.metrics

    @property
    def baseline(self) -> Metrics:
        """ACC, ASR and RC of the undefended model."""
        assert self.cell.baseline is not None
        return self.cell.baseline

    def in_folder(self, folder: Path) -> DefenseResult:
        """Return the same result, to be stored in another folder."""
        return replace(self, folder=folder)

    def predictions(self) -> bytes:
        """Return the predicted classes of the clean and the triggered test images, uint16, as a
        safetensors file.
        """
        classes = {"clean": self.clean_predictions, "triggered": self.triggered_predictions}
        return safetensors.torch.save(
            {name: values.to(torch.uint16) for name, values in classes.items()}
        )

    def save(self) -> None:
        """Write predictions, model, cell and tables. Raises `RecordError` when the folder cannot be
        written.
        """
        predictions = self.predictions()
        noted = Predictions(file=PREDICTIONS_FILE, sha256=hashlib.sha256(predictions).hexdigest())
        cell = self.cell.model_copy(update={"predictions": noted}).sealed().to_json()
        write_tensors(
            self.path,
            {
                "schema": SCHEMA,
                "cell": cell,
                "model": state(self.model),
                "kept": {name: state(model) for name, model in self.kept.items()},
                "tensors": self.tensors,
            },
            maker=f"the defense {self.cell.cell.defense.name} in {self.cell.cost.precision}",
            aside=ASIDE_ENTRIES,
        )
        write_bytes(self.folder / PREDICTIONS_FILE, predictions)
        write_json(self.folder / CELL_FILE, cell)
        tables = self._tables()
        for name, text in tables.items():
            write_text(self.folder / name, text)
        # files of another result that lay here; pictures are drawn afterwards
        for name in BESIDE_FILES.difference(tables):
            (self.folder / name).unlink(missing_ok=True)

    def _tables(self) -> dict[str, str]:
        """Return the tables by the name of their file."""
        tables: dict[str, tuple[BaseModel, ...]] = {
            f"{curve.name}.csv": curve.points for curve in self.cell.curves
        }
        if self.cell.operating_points:
            tables["operating_points.csv"] = self.cell.operating_points
        return {
            name: csv_table([row.model_dump() for row in rows]) for name, rows in tables.items()
        }


def folder_of(attack: Path, defense: str, key: str) -> Path:
    """Return the folder of a defense's result beside an attack result: under its name, or, where
    another key (other parameters, another budget) lies there, under its name and the key.
    """
    plain = attack / "defense" / defense
    return plain if _key_in(plain) in ("", key) else by_key(attack, defense, key)


def stored_cell(attack: Path, defense: str, key: str) -> Cell | None:
    """Return the cell of that key with numbers among the results beside an attack result; None
    unless it is there and whole, with its model, its predictions and the JSON that people read.
    """
    for folder in (attack / "defense" / defense, by_key(attack, defense, key)):
        if _key_in(folder) != key or not (folder / PREDICTIONS_FILE).is_file():
            continue
        try:
            cell: Cell = read_defense_result(folder / DEFENSE_FILE)["cell"]
            beside = read_json(folder / CELL_FILE)
        except RecordError:
            continue
        noted = cell.predictions.sha256 if cell.predictions else ""
        shown = is_whole(beside) and beside["digest"] == cell.digest
        if shown and cell.key == key and noted == sha256(folder / PREDICTIONS_FILE):
            return cell
    return None


def by_key(attack: Path, defense: str, key: str) -> Path:
    """Return the folder with the key in its name, which no other cell can have."""
    return attack / "defense" / f"{defense}-{key[:8]}"


def _key_in(folder: Path) -> str:
    """Return the key of the result in a folder; empty when there is none that can be read."""
    try:
        return str(read_json(folder / CELL_FILE)["key"])
    except (RecordError, LookupError, TypeError):
        return ""


def state(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers on the CPU."""
    return {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}


def read_defense_result(path: Path) -> dict[str, Any]:
    """Return what a `defense_result.pt` holds, its cell checked. Raises `RecordError`."""
    content = read_tensors(path, aside=ASIDE_ENTRIES)
    try:
        cell = Cell.model_validate(content["cell"])
    except (KeyError, ValidationError) as error:
        raise RecordError(
            f"{path} does not hold a defense result: {error}; make it again"
        ) from None
    if not is_whole(content["cell"]):
        raise RecordError(
            f"{path} was changed after it was written: the digest of its cell does not fit; make "
            "it again"
        )
    return content | {"cell": cell}
