"""The board as Markdown. What comes from result files is escaped: it can neither mark up nor break
a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchbd.leaderboard.board.contents import Board
from benchbd.leaderboard.board.overview import Overview, main_table
from benchbd.leaderboard.board.text import one_line
from benchbd.leaderboard.render.tables import (
    METRICS_EXPLAINED,
    TextTable,
    attack_tables,
    headline_tables,
    summary_line,
)
from benchbd.markdown import markdown_table

_MARKS = re.compile(r"[\\`*\[\]{}<>&|#~!]|(?<!\w)_|_(?!\w)")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def to_markdown(board: Board) -> str:
    """Return the whole board: headline tables of each section, then every attack, then the files
    that were not believed.
    """
    return "\n".join(_lines(board)) + "\n"


def _lines(board: Board) -> Iterator[str]:
    yield from ("# Leaderboard", "", summary_line(board), "")
    yield from _entrance(board)
    yield from (METRICS_EXPLAINED, "")
    for section in board.sections:
        yield from (f"## {escape(section.title)}", "")
        for table in (*headline_tables(section), *attack_tables(section)):
            yield from table_lines(table)
    if board.faults:
        yield from (
            "## Files that were not believed",
            "",
            *(f"- {escape(fault)}" for fault in board.faults),
            "",
        )


def _entrance(board: Board) -> Iterator[str]:
    """Yield the findings of the main table, and one line about each table."""
    place = main_table(board.sections)
    if place is None:
        return
    main = board.sections[place]
    yield from (f"## {escape(main.title)}: in short", "")
    for question, sentences in Overview(main).answers().items():
        yield from (f"**{question}** {escape(' '.join(sentences))}", "")
    yield from ("## The tables", "")
    yield from (f"- **{escape(s.title)}**: {escape(Overview(s).line())}" for s in board.sections)
    yield ""


def table_lines(table: TextTable) -> Iterator[str]:
    """Yield title, note and rows."""
    yield from (f"### {escape(table.title)}", "")
    if table.note:
        yield from (escape(table.note), "")
    header, *rows = ([escape(cell) for cell in row] for row in (table.header, *table.rows))
    yield from (markdown_table(header, rows, table.texts), "")


def escape(text: str) -> str:
    """Return text that reads as itself in Markdown, on one line."""
    return _MARKS.sub(lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"), one_line(text))
