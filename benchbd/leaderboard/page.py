"""The board as one HTML page that opens from disk and makes no request: tables first, the facts as data beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchbd.leaderboard.board import Board
from benchbd.leaderboard.tables import ABOUT, attack_tables, headline_tables, summary_line

TEMPLATE = "page.html.jinja"


def to_html(board: Board, facts: dict[str, Any]) -> str:
    """The page of a board and its document. Everything from result files goes through autoescape, or through `embedded`."""
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(TEMPLATE).render(
        summary=summary_line(board),
        about=ABOUT,
        sections=[(section.title, list(headline_tables(section)), list(attack_tables(section))) for section in board.sections],
        faults=board.faults,
        facts=embedded(facts),
    )


def embedded(value: Any) -> str:
    """JSON for a script element: without `<`, so that nothing inside can end the element or open another."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
