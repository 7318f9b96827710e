"""How much a defense hangs on its hyper-parameters, noted from studies beside the results.

The notes (`sensitivity.json`: digest -> study) are made by `benchbd sensitivity --note`. Each holds
for one defense with its parameters and its version on one data set, model, recipe and budget, and
is shown in every table of these. The cells of a study are not stored with the board, so that a
score is the word of who ran it.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from benchbd.errors import RecordError
from benchbd.leaderboard.board.interval import tidy
from benchbd.leaderboard.board.method_names import Method
from benchbd.leaderboard.board.row import TableKey, row_of
from benchbd.record.cell import Cell
from benchbd.record.files import read_json, write_json
from benchbd.record.keys import key_of

Points = Annotated[float, Field(ge=0, le=1)]


class Study(BaseModel):
    """What was found of one defense. scores: of each parameter the mean absolute change of ACC and
    of ASR over its other values, the attacks and the seeds, as a share.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    defense: str
    dataset: str
    attacks: tuple[str, ...]
    seeds: tuple[int, ...]
    scores: dict[str, Points] = Field(min_length=1)

    @property
    def mean(self) -> float:
        """The mean over the parameters: the score of the defense."""
        return tidy(statistics.fmean(self.scores.values()))


Studies = Mapping[str, Study]
NOTHING_STUDIED: Studies = {}
_STUDIES = TypeAdapter(dict[str, Study])


def studied(where: TableKey, defense: Method) -> str:
    """Return the digest under which the study of a defense is noted: of the defense and of
    everything that a table shares but its protocol.
    """
    shared = (where.dataset.identity, where.model.identity, where.recipe, where.clean_budget)
    return key_of("sensitivity", *shared, defense.identity)


def study_of(cells: Sequence[Cell], own: Cell, scores: Mapping[str, float]) -> dict[str, Study]:
    """Return the note of a study. own: one of its cells, whose defense has the values in use."""
    row = row_of(own)
    found = Study(
        defense=row.defense.name,
        dataset=row.where.dataset.name,
        attacks=tuple(sorted({cell.cell.attack.label for cell in cells})),
        seeds=tuple(sorted({cell.cell.seed for cell in cells})),
        scores={name: tidy(score) for name, score in sorted(scores.items())},
    )
    return {studied(row.where, row.defense): found}


def read_studies(path: Path) -> dict[str, Study]:
    """Return the notes in a file; none when there is no such file. Raises `RecordError`."""
    if not path.exists():
        return {}
    try:
        return _STUDIES.validate_python(read_json(path))
    except ValidationError as error:
        raise RecordError(
            f"{path} is not a file of notes on sensitivity: {error.errors()[0]['msg']}; remove it "
            "and study again"
        ) from None


def add_studies(path: Path, studies: Studies) -> Path:
    """Write notes into the file beside those that are there; of one defense the newer stays."""
    return write_json(path, _STUDIES.dump_python(read_studies(path) | dict(studies), mode="json"))
