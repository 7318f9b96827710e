"""A real result that is made to say something else, with its key and its seal right again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchbd.audit.verify import VerifiedFile, verify
from benchbd.record.cells import read_cell
from benchbd.record.files import write_json

PREDICTIONS = "predictions.safetensors"


def rewrite(path: Path, **changed: Any) -> Path:
    """The cell with other content, its key and seal made right again."""
    cell = read_cell(path).model_copy(update=changed)
    cell = cell.model_copy(update={"key": cell.cell.key(cell.protocol)}).sealed()
    return write_json(path, cell.to_json())


def check(path: Path) -> VerifiedFile:
    (found,) = verify([path])
    return found


def with_defense(path: Path, **changed: Any) -> Path:
    about = read_cell(path).cell
    return rewrite(
        path, cell=about.model_copy(update={"defense": about.defense.model_copy(update=changed)})
    )
