"""What came, went and changed since the last version, from the outcomes of both."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.errors import RecordError
from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.last_version import (
    LastVersion,
    by_table,
    changes,
    nested,
    read_last_version,
)
from benchbd.leaderboard.board.row import row_of
from benchbd.record.files import write_json
from support.made_cells import make_cell

TITLE = "trial@1 · pictures · net"
BEFORE = [
    make_cell("a"),
    make_cell("b"),
    make_cell("c", code="failed", reason="x"),
    make_cell("e", hits=(900, 100, 720)),
]
NOW = [
    make_cell("a", hits=(900, 180, 720)),
    make_cell("c"),
    make_cell("d"),
    make_cell("e", hits=(900, 100, 720)),
]


def test_cells_come_go_and_change() -> None:
    before, after = (board(map(row_of, cells)).outcomes for cells in (BEFORE, NOW))
    found = {change.place[1]: change for change in changes(before, after)}
    assert {attack: change.kind for attack, change in found.items()} == {
        "a": "changed",
        "b": "gone",
        "c": "changed",
        "d": "new",
    }
    assert found["a"].place == (TITLE, "a", "mend", 0)
    assert (found["a"].before, found["a"].after) == (
        "ACC 90.0 ASR 10.0 RC 80.0 DER 92.5",
        "ACC 90.0 ASR 20.0 RC 80.0 DER 87.5",
    )
    assert found["a"].move == pytest.approx(10.0) and found["c"].move == 0
    assert by_table(found.values()) == {TITLE: [1, 1, 2]}


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    outcomes = board(map(row_of, BEFORE)).outcomes
    version = LastVersion(name="1.0", board="0" * 12, newest="", tables=nested(outcomes))
    path = write_json(tmp_path / "last_version.json", version.model_dump(mode="json"))
    found = read_last_version(path)
    assert found is not None and found.outcomes == outcomes
    assert read_last_version(tmp_path / "absent.json") is None
    path.write_text('{"name": 1}')
    with pytest.raises(RecordError, match="not the last version of a board"):
        read_last_version(path)
