"""The board as one JSON document: every cell of an entry is named, and it is read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchbd.errors import RecordError
from benchbd.leaderboard.board.contents import Board
from benchbd.leaderboard.render.changes import differences
from benchbd.leaderboard.render.json_document import read_document, to_json
from benchbd.record.files import write_text
from support.made_boards import two_by_two

ROOT = Path(__file__).parents[3]


@pytest.fixture
def small() -> Board:
    return two_by_two()


def test_json_names_every_cell_of_an_entry(small: Board) -> None:
    facts = json.loads(to_json(small))
    keys = {cell["key"] for cell in facts["cells"]}
    assert len(keys) == 6
    assert {key for entry in facts["sections"][0]["entries"] for key in entry["cells"]} == keys


def test_json_takes_one_line_for_each_cell(small: Board) -> None:
    assert (
        sum(
            line.startswith('{"attack": ') and '"seed": ' in line
            for line in to_json(small).splitlines()
        )
        == 6
    )


def test_every_field_is_described(small: Board) -> None:
    described = (ROOT / "docs" / "leaderboard_json.md").read_text()
    facts = json.loads(to_json(small))
    section = facts["sections"][0]
    parts = [facts, section, facts["cells"][0]]
    parts += [section[name][0] for name in ("attacks", "defenses", "standings", "entries")]
    parts += [section["attacks"][0]["kind"], section["defenses"][0]["kind"]["source"]]
    assert [name for part in parts for name in part if f"`{name}`" not in described] == []


def test_what_is_no_board_is_refused(tmp_path: Path) -> None:
    other = write_text(tmp_path / "leaderboard.json", '{"schema": 99}')
    with pytest.raises(RecordError, match="schema 1; build it again"):
        read_document(other)
    with pytest.raises(RecordError, match="no board at"):
        differences(tmp_path / "nowhere", other)
