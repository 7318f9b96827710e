"""The predicted classes beside a cell, believed only with the digest that the cell names."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from benchbd.errors import RecordError
from benchbd.record.cell import Cell
from benchbd.record.files import sha256

Predicted = tuple[Tensor, Tensor]
"""Predicted classes (N,) of the clean and (M,) of the triggered test images."""


def read_predictions(path: Path, cell: Cell) -> Predicted:
    """The predictions beside the cell at `path`, held against their digest. Raises
    `RecordError`.
    """
    if cell.predictions is None:
        raise RecordError("it names no predictions")
    beside = path.parent / Path(cell.predictions.file).name
    if not beside.is_file():
        raise RecordError(f"its predictions {beside.name} are missing")
    if sha256(beside) != cell.predictions.sha256:
        raise RecordError(f"its predictions {beside.name} do not have the digest that it names")
    try:
        stored = safetensors.torch.load(beside.read_bytes())
        clean, triggered = (stored[name].long().flatten() for name in ("clean", "triggered"))
    except (SafetensorError, LookupError) as error:
        raise RecordError(f"its predictions {beside.name} cannot be read: {error}") from None
    return clean, triggered
