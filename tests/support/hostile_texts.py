"""Texts that try to break out of every place they are written to, and cells that hold one of them
in all their texts.
"""

from __future__ import annotations

from typing import Any

from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.contents import Board
from benchbd.leaderboard.board.row import row_of
from benchbd.record.cell import Cell
from support.made_cells import make_cell

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "end of script": '</script><script src="//evil.example/x.js"></script><!--',
    "quotes": "\"'`\" onmouseover='alert(1)' \\\" ${1+1} {{ 7*7 }} {% raw %}",
    "pipes and lines": "| a | b |\r\n|---|---|\n\n# head\n| c |",
    "formula": '=HYPERLINK("http://evil.example";"click")',
    "at": "@SUM(1+1)",
    "latex": r"\input{/etc/passwd} & % $ # _ ^ ~ { } \end{tabular}",
    "terminal": "\x1b]0;owned\x07\x1b[31mred\u202egnp.exe",
    "long": "x" * 10_000,
}
KEPT = {"code", "key", "digest", "name"}


def poisoned(value: Any, text: str, name: str = "") -> Any:
    """`value` with `text` in all its texts, and a field of that name in all tables that may have
    any field.
    """
    if isinstance(value, dict):
        free = name in ("params", "provenance", "notes")
        return {key: poisoned(each, text, key) for key, each in value.items()} | (
            {text: text} if free else {}
        )
    if isinstance(value, list):
        return [poisoned(each, text, name) for each in value]
    return text if isinstance(value, str) and name not in KEPT else value


def hostile_cell(text: str, **more: Any) -> Cell:
    content = poisoned(
        make_cell(provenance={"argv": ["benchbd"], "commit": ""}, **more).to_json(), text
    )
    for kind in ("dataset", "model", "attack", "defense"):
        content["cell"][kind]["name"] = text + kind
    cell = Cell.model_validate(content)
    return cell.model_copy(update={"key": cell.cell.key(cell.protocol)}).sealed()


def hostile_board(text: str) -> Board:
    cells = [
        hostile_cell(text),
        hostile_cell(text, seed=1, code="failed", reason="r"),
        hostile_cell(text, detection={"a": "b"}, seed=2),
    ]
    return board(map(row_of, cells), [text.replace("\n", " ")])
