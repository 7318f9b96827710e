"""The predicted classes beside a cell, believed only with the digest that the cell names."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from benchbd.errors import RecordError
from benchbd.record.cell import Cell
from benchbd.record.cells import predictions_beside

Predicted = tuple[Tensor, Tensor]
"""Predicted classes (N,) of the clean and (M,) of the triggered test images."""


def read_predictions(path: Path, cell: Cell) -> Predicted:
    """Return the predictions beside the cell at `path`, after their digest was checked. Raises
    `RecordError`.
    """
    if cell.predictions is None:
        raise RecordError("it names no predictions")
    beside = predictions_beside(path, cell.predictions)
    try:
        stored = safetensors.torch.load(beside.read_bytes())
        clean, triggered = stored["clean"], stored["triggered"]
    except (SafetensorError, LookupError, OSError) as error:
        raise RecordError(f"its predictions {beside.name} cannot be read: {error}") from None
    if {clean.dtype, triggered.dtype} != {torch.uint16}:
        raise RecordError(f"its predictions {beside.name} are not whole numbers of 16 bits")
    return clean.long().flatten(), triggered.long().flatten()
