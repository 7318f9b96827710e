"""Tables in Markdown: their cells stay where they are put."""

from __future__ import annotations

from benchbd.markdown import markdown_table


def test_texts_stand_left_and_figures_right() -> None:
    table = markdown_table(("name", "share"), [("a", "1.50"), ("long name", "10.0")], texts=1)
    assert table.splitlines() == [
        "| name      |   share |",
        "|:----------|--------:|",
        "| a         |    1.50 |",
        "| long name |    10.0 |",
    ]


def test_a_cell_cannot_end_its_row() -> None:
    table = markdown_table(("what",), [("a | b\nc",), ("d \\| e",)])
    assert [line.strip("| ") for line in table.splitlines()[2:]] == ["a \\| b c", "d \\| e"]


def test_what_looks_like_a_number_stays_as_it_is() -> None:
    assert "| 1e5" in markdown_table(("x",), [("1e5",), ("007",)])
