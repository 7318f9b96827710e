"""The store of results: one JSON file per cell, with its predictions beside it. A file is believed
only if it is complete and unchanged.

Every file carries the digest of its own content and names the digest of its predictions. A file
that was cut short, edited by hand or made for other work is reported and never believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from benchbd.errors import RecordError
from benchbd.record.cell import Cell, CellSummary, Predictions, is_whole
from benchbd.record.files import (
    MAX_JSON_BYTES,
    read_json,
    require_ordinary,
    sha256,
    write_bytes,
    write_json,
)
from benchbd.record.keys import KEY_DIGITS, OTHER_MODELS, reference_name

MAX_PREDICTIONS_BYTES = 2**28
"""The largest file of predictions that is read, in bytes. It has room for a hundred million images.
"""

PREDICTIONS_SUFFIX = ".predictions.safetensors"

RESULTS_FOLDER = Path("leaderboard/results")
"""Where results of matrices are stored unless another folder is named."""


@dataclass(frozen=True)
class ResultStore:
    """The results under a folder, by their name there:
    `<protocol>/<attack>/<defense>/<seed>-<key>.json`.
    """

    folder: Path

    def path(self, name: str) -> Path:
        """Return the place of the result file of that name."""
        return self.folder / name

    def write(self, name: str, cell: Cell, predictions: bytes | None = None) -> Path:
        """Store a cell, its predictions first, so that a cell that can be read is whole."""
        path = self.path(name)
        if predictions is not None:
            beside = _predictions_path(path)
            write_bytes(beside, predictions)
            cell = cell.model_copy(
                update={"predictions": Predictions(file=beside.name, sha256=sha256(beside))}
            )
        return write_json(path, cell.sealed().to_json())

    def read(self, name: str, key: str | None = None) -> Cell | None:
        """Return the cell of that name; None when there is none. Raises `RecordError` when it
        cannot be believed.
        """
        path = self.path(name)
        if not path.exists():
            return None
        cell = read_cell(path)
        if key is not None and cell.key != key:
            raise RecordError(
                f"{path} is the result of other work (key {cell.key[:KEY_DIGITS]}, expected "
                f"{key[:KEY_DIGITS]})"
            )
        if cell.predictions is not None:
            predictions_beside(path, cell.predictions)
        return cell

    def has(self, name: str, key: str, replaced: str = "") -> bool:
        """Return whether the cell of that name and key is there and can be believed.

        replaced: the digest of one that is to be made again, and so does not count; it lies there
        until the new one does.
        """
        try:
            stored = self.read(name, key)
        except RecordError:
            return False
        return stored is not None and stored.digest != replaced

    def names(self, protocol: str) -> set[str]:
        """Return the names of all results of a protocol, read from the folders once."""
        return {
            path.relative_to(self.folder).as_posix()
            for path in (self.folder / protocol).glob("*/*/*.json")
        }

    def reference(self, name: str, key: str, attacked_model: str) -> Cell | None:
        """Return the undefended cell of the attacked model with that digest of its weights; None
        while there is none that can be believed.

        name, key: of the undefended cell of that attack. It is the one of that name, or, where that
        was made on another processor and so of other weights, one beside it.
        """
        for each in (name, reference_name(name, attacked_model)):
            with suppress(RecordError):
                found = self.read(each, key)
                if found is not None and found.attacked_model == attacked_model:
                    return found
        return None

    def __iter__(self) -> Iterator[Cell]:
        """Yield all cells that can be believed, by name. The others are left out (`faults` reports
        them).
        """
        return (cell for _, cell in self.named())

    def named(self) -> Iterator[tuple[str, Cell]]:
        """Yield the same cells, each with its name."""
        for path in cell_paths(self.folder):
            name = path.relative_to(self.folder).as_posix()
            with suppress(RecordError):
                if (cell := self.read(name)) is not None:
                    yield name, cell

    def faults(self) -> list[str]:
        """Return what is wrong with which file."""
        found = []
        for path in sorted(self.folder.rglob("*.json")):
            try:
                self.read(str(path.relative_to(self.folder)))
            except RecordError as error:
                found.append(str(error))
        return found


def cell_paths(folder: Path) -> list[Path]:
    """Return all result files under a folder, by name, but for references."""
    return sorted(path for path in folder.rglob("*.json") if not is_reference(path))


def is_reference(path: Path) -> bool:
    """Return whether the cell at `path` is the undefended cell of one attacked model, stored beside
    the one of the same key that stands in the tables.
    """
    return path.parent.name == OTHER_MODELS


def read_cell(path: Path) -> Cell:
    """Return the cell in a JSON file, its digest checked. Raises `RecordError`."""
    content = read_json(path)
    try:
        cell = Cell.model_validate(content)
    except ValidationError as error:
        raise _not_a_cell(path, error) from None
    if not is_whole(content):
        raise RecordError(
            f"{path} was changed after it was written: its digest does not fit its content"
        )
    return cell


def read_summary(path: Path) -> CellSummary:
    """Return the summary of the cell in a JSON file; digests are not checked, which takes longer
    than the reading. Raises `RecordError`.
    """
    require_ordinary(path, MAX_JSON_BYTES)
    try:
        return CellSummary.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror or error}") from None
    except ValidationError as error:
        raise _not_a_cell(path, error) from None


def _not_a_cell(path: Path, error: ValidationError) -> RecordError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return RecordError(f"{path} is not the result of a cell: {place}: {first['msg']}")


def _predictions_path(path: Path) -> Path:
    return path.with_name(path.stem + PREDICTIONS_SUFFIX)


def predictions_beside(path: Path, predictions: Predictions) -> Path:
    """Return the file of predictions beside the cell at `path`, its digest checked; a name that
    leads elsewhere does not. Raises `RecordError`.
    """
    beside = path.parent / Path(predictions.file).name
    try:
        require_ordinary(beside, MAX_PREDICTIONS_BYTES)
        digest = sha256(beside)
    except (RecordError, OSError) as error:
        shown = predictions.file[:200]
        raise RecordError(
            f"{path}: its predictions {shown!r} are missing or cannot be read: {str(error)[:500]}"
        ) from None
    if digest != predictions.sha256:
        raise RecordError(
            f"{path}: its predictions {beside.name} do not have the digest that it names; they "
            "were changed"
        )
    return beside
