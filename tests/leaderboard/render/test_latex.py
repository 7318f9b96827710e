"""The board as LaTeX: one environment for each headline table, with texts that are no commands."""

from __future__ import annotations

import pytest

from benchbd.leaderboard.render.latex import escape, to_latex
from benchbd.leaderboard.render.tables import headline_tables
from support.made_boards import two_by_two


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("50 % & more_of #1", r"50 \% \& more\_of \#1"),
        ("\\input{x}", r"\textbackslash{}input\{x\}"),
        ("a~b^c|d", r"a\textasciitilde{}b\textasciicircum{}c\textbar{}d"),
        ("<$>", r"\textless{}\$\textgreater{}"),
        ("a · b…", r"a $\cdot$ b\dots{}"),
        ("two\nlines", "two lines"),
    ],
)
def test_a_text_prints_as_it_is(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_every_headline_table_is_an_environment_with_its_columns() -> None:
    board = two_by_two()
    text, tables = to_latex(board), list(headline_tables(board.sections[0]))
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == len(tables) > 1
    for table in tables:
        columns = "l" * table.texts + "r" * (len(table.header) - table.texts)
        assert rf"\begin{{tabular}}{{{columns}}}" in text
    assert sum(line.endswith(r" \\") for line in text.splitlines()) == sum(
        1 + len(table.rows) for table in tables
    )
