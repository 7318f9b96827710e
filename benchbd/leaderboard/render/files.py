"""The files of a published board: made from the results alone, so that the same results give the
same bytes.
"""

from __future__ import annotations

from pathlib import Path

from benchbd.leaderboard.board.contents import Board
from benchbd.leaderboard.render.csv_parquet import to_csv
from benchbd.leaderboard.render.html_page import to_html
from benchbd.leaderboard.render.json_document import document, dump
from benchbd.leaderboard.render.markdown import to_markdown
from benchbd.record.files import write_text


def publication(board: Board) -> dict[str, str]:
    """Return the content of each file by its name."""
    facts = document(board)
    return {
        "LEADERBOARD.md": to_markdown(board),
        "index.html": to_html(board, facts),
        "leaderboard.csv": to_csv(board),
        "leaderboard.json": dump(facts),
    }


def publish(board: Board, folder: Path) -> list[Path]:
    """Write the files and return their paths. Raises `RecordError`."""
    return [write_text(folder / name, text) for name, text in publication(board).items()]


def out_of_date(board: Board, folder: Path) -> list[Path]:
    """Return those of the files in `folder` that are missing or not what the results give."""
    paths = {folder / name: text.encode() for name, text in publication(board).items()}
    return [
        path
        for path, content in paths.items()
        if not path.is_file() or path.read_bytes() != content
    ]
