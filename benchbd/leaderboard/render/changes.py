"""The differences between two boards, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchbd.errors import RecordError
from benchbd.leaderboard.board.build import read_board
from benchbd.leaderboard.board.last_version import (
    CellPlace,
    ChangeKind,
    LastVersion,
    nested,
    outcome,
)
from benchbd.leaderboard.render.json_document import board_digest, document, read_document


@dataclass(frozen=True, slots=True)
class CellChange:
    """One cell that is new, gone or changed, with the change in words."""

    kind: ChangeKind
    place: CellPlace
    words: str


def differences(before: Path, after: Path) -> list[CellChange]:
    """Return changes from one board to another: each a leaderboard.json, its folder, or a folder of
    results. Raises `RecordError`.
    """
    old, new = _cells(before), _cells(after)
    return [
        change
        for place in sorted(old.keys() | new.keys())
        for change in _change(place, old.get(place), new.get(place))
    ]


def _cells(path: Path) -> dict[CellPlace, dict[str, Any]]:
    facts = _facts(path)
    try:
        titles = [section["title"] for section in facts["sections"]]
        return {
            (titles[c["section"]], c["attack"], c["defense"], c["seed"]): c for c in facts["cells"]
        }
    except (LookupError, TypeError) as error:
        raise RecordError(
            f"{path} does not hold a whole board ({error!r}); build it again"
        ) from None


def _facts(path: Path) -> dict[str, Any]:
    stored = path / "leaderboard.json" if path.is_dir() else path
    if stored.is_file():
        return read_document(stored)
    if not path.is_dir():
        raise RecordError(
            f"no board at {path}; name a leaderboard.json, its folder, or a folder of results"
        )
    return document(read_board(path, {}))


def _change(
    place: CellPlace, old: dict[str, Any] | None, new: dict[str, Any] | None
) -> Iterator[CellChange]:
    if old is None and new is not None:
        yield CellChange("new", place, _outcome(new))
    elif new is None and old is not None:
        yield CellChange("gone", place, _outcome(old))
    elif (
        old is not None
        and new is not None
        and (_outcome(old) != _outcome(new) or old["metrics"] != new["metrics"])
    ):
        yield CellChange("changed", place, f"{_outcome(old)} -> {_outcome(new)}")


def _outcome(cell: dict[str, Any]) -> str:
    return outcome(cell["code"], cell["metrics"])


def version_of(path: Path, name: str) -> LastVersion:
    """Return a board as the version of that name. path: its leaderboard.json, or the folder of it.
    Raises `RecordError`.
    """
    facts = _facts(path)
    cells = _cells(path)
    finished = [cell["made"].get("finished", "")[:10] for cell in cells.values()]
    return LastVersion(
        name=name,
        board=board_digest(facts),
        newest=max(finished, default=""),
        tables=nested({place: _outcome(cell) for place, cell in cells.items()}),
    )
