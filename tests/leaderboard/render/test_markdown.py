"""The board as Markdown: tables that a reader of Markdown takes for tables, with texts that mark up
nothing.
"""

from __future__ import annotations

import dataclasses

import pytest

from benchbd.leaderboard.render.markdown import escape, table_lines, to_markdown
from benchbd.leaderboard.render.tables import TextTable
from support.made_boards import two_by_two


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("*x* `y` [z](u)", r"\*x\* \`y\` \[z\](u)"),
        ("snake_case _word_", r"snake_case \_word\_"),
        ("two\nlines", "two lines"),
    ],
)
def test_a_text_reads_as_itself(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_a_table_has_title_note_and_rows() -> None:
    table = TextTable("T_", ("name", "ACC"), (("a|b", "90.0"),), note="*why*", texts=1)
    title, _, note, _, rows, end = table_lines(table)
    assert (title, note, end) == (r"### T\_", r"\*why\*", "")
    assert [line.split() for line in rows.splitlines()] == [
        ["|", "name", "|", "ACC", "|"],
        ["|:-------|------:|"],
        ["|", r"a\|b", "|", "90.0", "|"],
    ]


def test_sections_attacks_and_files_that_were_not_believed() -> None:
    board = two_by_two()
    text = to_markdown(board)
    assert text.startswith("# Leaderboard\n\n6 cells in 1 table.\n")
    assert f"## {board.sections[0].title}\n" in text and "not believed" not in text
    told = to_markdown(dataclasses.replace(board, faults=("a.json: <cut> short",)))
    assert told.endswith("## Files that were not believed\n\n- a.json: &lt;cut&gt; short\n\n")
