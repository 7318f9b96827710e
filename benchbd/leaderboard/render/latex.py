"""The headline tables as LaTeX, for papers. Needs the package booktabs; what comes from result
files is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchbd.leaderboard.board.contents import Board
from benchbd.leaderboard.board.text import one_line
from benchbd.leaderboard.render.tables import TextTable, headline_tables

_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "·": r"$\cdot$",
        "…": r"\dots{}",
    }
    | {mark: f"\\{mark}" for mark in "&%$#_{}"}
)


def to_latex(board: Board) -> str:
    """Return one `table` environment for each headline table."""
    tables = [
        (section.title, table) for section in board.sections for table in headline_tables(section)
    ]
    return "\n".join(line for title, table in tables for line in _table(title, table)) + "\n"


def _table(title: str, table: TextTable) -> Iterator[str]:
    columns = "l" * table.texts + "r" * (len(table.header) - table.texts)
    yield from (
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(title)}: {escape(table.title)}. {escape(table.note)}}}",
    )
    yield from (rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _row(table.header), r"\midrule")
    yield from map(_row, table.rows)
    yield from (r"\bottomrule", r"\end{tabular}", r"\end{table}", "")


def _row(cells: Iterable[str]) -> str:
    return " & ".join(map(escape, cells)) + r" \\"


def escape(text: str) -> str:
    """Return text that LaTeX prints as it is."""
    return one_line(text).translate(_ESCAPES)
