"""The board as JSON: every fact, with one line for each attack, defense, entry, comparison and
cell.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchbd.errors import RecordError
from benchbd.leaderboard.board.contents import Board, Section
from benchbd.leaderboard.board.row import Row
from benchbd.record.files import read_json
from benchbd.record.keys import KEY_DIGITS

DOCUMENT_SCHEMA = 1
_OMITTED = ("where", "attack", "defense", "attack_family", "defense_family", "traces")
"""Fields that are left out of cells: facts that stand once for all cells of a table, and curves,
which stand in the result files and on the page.
"""
_CELL = tuple(f.name for f in dataclasses.fields(Row) if f.name not in _OMITTED)
_encode = json.JSONEncoder(sort_keys=True, allow_nan=False).encode


def document(board: Board) -> dict[str, Any]:
    """Plain values. `cells` name their section by its place, attack and defense by their labels."""
    return {
        "schema": DOCUMENT_SCHEMA,
        "sections": [_section(section) for section in board.sections],
        "cells": [
            cell for place, section in enumerate(board.sections) for cell in _cells(place, section)
        ],
        "faults": list(board.faults),
    }


def to_json(board: Board) -> str:
    """Return the board as the text of leaderboard.json."""
    return dump(document(board))


def dump(content: dict[str, Any]) -> str:
    """Return a document as the text of leaderboard.json."""
    return _lines(content) + "\n"


def board_digest(facts: dict[str, Any]) -> str:
    """By which a board can be named: digits that change with any of its facts."""
    return hashlib.sha256(dump(facts).encode()).hexdigest()[:KEY_DIGITS]


def read_document(path: Path) -> dict[str, Any]:
    """Return a stored leaderboard.json. Raises `RecordError`."""
    content = read_json(path)
    if (
        not isinstance(content, dict)
        or content.get("schema") != DOCUMENT_SCHEMA
        or not {"sections", "cells"} <= set(content)
    ):
        raise RecordError(
            f"{path} is no leaderboard.json of schema {DOCUMENT_SCHEMA}; build it again"
        )
    return content


def _section(section: Section) -> dict[str, Any]:
    where = section.where
    return {
        "title": section.title,
        "protocol": where.protocol,
        "dataset": section.dataset,
        "model": section.model,
        "recipe": json.loads(where.recipe),
        "clean_budget": where.clean_budget,
        "seeds": list(section.seeds),
        "lost": [list(model) for model in section.lost],
        "fronts": _value(section.fronts),
        "attacks": [_plain(attack) for attack in section.attacks],
        "defenses": [_plain(defense) for defense in section.defenses],
        "standings": [_plain(standing) for standing in section.ranking.standings],
        "comparisons": [_plain(comparison) for comparison in section.ranking.comparisons],
        "entries": [
            _plain(entry, "cells") | {"cells": [row.key for row in entry.cells]}
            for entry in section.entries
        ],
    }


def _cells(place: int, section: Section) -> Iterable[dict[str, Any]]:
    for entry in section.entries:
        for row in entry.cells:
            yield {"section": place, "attack": entry.attack, "defense": entry.defense} | _cell(row)


def _cell(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _CELL}


def _plain(facts: Any, *without: str) -> dict[str, Any]:
    """Return a dataclass with dataclasses inside as plain values."""
    return {
        f.name: _value(getattr(facts, f.name))
        for f in dataclasses.fields(facts)
        if f.name not in without
    }


def _value(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return _plain(value, "identity")
    if isinstance(value, dict):
        return {name: _value(each) for name, each in value.items()}
    return [_value(each) for each in value] if isinstance(value, tuple | list) else value


def _lines(value: Any) -> str:
    """Return JSON in which a table of tables takes one line for each, so that a change shows as a
    change of few lines.
    """
    if isinstance(value, dict) and any(_is_long(each) for each in value.values()):
        return (
            "{\n"
            + ",\n".join(f"{json.dumps(name)}: {_lines(value[name])}" for name in value)
            + "\n}"
        )
    if _is_long(value):
        return "[\n" + ",\n".join(map(_lines, value)) + "\n]"
    return _encode(value)


def _is_long(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
