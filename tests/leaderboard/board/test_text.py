"""Texts of strangers: one line, no controls, at most so long, and labels that stay apart."""

from __future__ import annotations

import pytest

from benchbd.leaderboard.board.text import LONGEST_LABEL, cut, label, one_line


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("a\nb\r\n\tc", "a b c"),
        ("  a  ", "a"),
        ("a\x00\x1b[31mb", "a [31mb"),
        ("a\u202eb\u2028c", "a b c"),
        (7, "7"),
        (None, "None"),
    ],
)
def test_a_value_is_one_line(value: object, line: str) -> None:
    assert one_line(value) == line


def test_a_long_one_is_cut() -> None:
    assert one_line("x" * 50, 10) == "x" * 9 + "…" == cut("x" * 50, 10)
    assert cut("short", 10) == "short"


def test_labels_of_different_values_differ() -> None:
    long = "x" * LONGEST_LABEL
    first, second = label(long + "a"), label(long + "b")
    assert first != second and max(len(first), len(second)) <= LONGEST_LABEL
    assert label("plain") == "plain" and label("two\nlines") not in ("two lines", "two\nlines")
