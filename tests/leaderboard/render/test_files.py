"""The files of a published board: all are written, and what is not as it should be is told."""

from __future__ import annotations

from pathlib import Path

from benchbd.leaderboard.render.files import out_of_date, publication, publish
from support.made_boards import of, two_by_two
from support.made_cells import make_cell

NAMES = ["LEADERBOARD.md", "index.html", "leaderboard.csv", "leaderboard.json"]


def test_what_was_published_is_up_to_date(tmp_path: Path) -> None:
    board = two_by_two()
    assert [path.name for path in out_of_date(board, tmp_path)] == NAMES
    assert [path.name for path in publish(board, tmp_path)] == NAMES
    assert out_of_date(board, tmp_path) == []
    assert (tmp_path / "LEADERBOARD.md").read_text() == publication(board)["LEADERBOARD.md"]


def test_what_was_changed_or_is_gone_is_told(tmp_path: Path) -> None:
    board = two_by_two()
    publish(board, tmp_path)
    (tmp_path / "index.html").unlink()
    (tmp_path / "leaderboard.csv").write_bytes(b"")
    assert [path.name for path in out_of_date(board, tmp_path)] == NAMES[1:3]
    assert [path.name for path in out_of_date(of(make_cell()), tmp_path)] == NAMES
