"""What came, went and changed between two boards or folders of results."""

from __future__ import annotations

from pathlib import Path

from benchbd.leaderboard.board.build import read_board
from benchbd.leaderboard.render.changes import differences
from benchbd.leaderboard.render.json_document import to_json
from benchbd.record.files import write_text
from support.made_cells import make_cell, store


def test_differences_name_what_came_went_and_changed(tmp_path: Path) -> None:
    old = store(
        [make_cell("a"), make_cell("b"), make_cell("c", code="failed", reason="x")],
        tmp_path / "old",
    )
    new = store(
        [make_cell("a", hits=(900, 180, 720)), make_cell("c"), make_cell("d")], tmp_path / "new"
    )
    write_text(tmp_path / "board" / "leaderboard.json", to_json(read_board(old, {})))
    for before in (old, tmp_path / "board", tmp_path / "board" / "leaderboard.json"):
        found = {
            (change.place[1], change.kind): change.words for change in differences(before, new)
        }
        assert set(found) == {("a", "changed"), ("b", "gone"), ("c", "changed"), ("d", "new")}
        assert (
            found["a", "changed"]
            == "ACC 90.0 ASR 10.0 RC 80.0 DER 92.5 -> ACC 90.0 ASR 20.0 RC 80.0 DER 87.5"
        )
        assert found["c", "changed"] == "failed -> ACC 90.0 ASR 10.0 RC 80.0 DER 92.5"
    assert differences(old, old) == []


def test_a_change_too_small_for_a_table_is_a_change(tmp_path: Path) -> None:
    old, new = (
        [make_cell(hits=(900, hits, 720), baseline=make_cell().baseline)] for hits in (90, 91)
    )
    changes = differences(store(old, tmp_path / "old"), store(new, tmp_path / "new"))
    assert [change.kind for change in changes] == ["changed"]
