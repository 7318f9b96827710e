"""docs/fidelity.md and the catalogue, from which the board shows the verdicts, say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from benchbd.plugin.registry import entries

PAGE = Path(__file__).parents[2] / "docs" / "fidelity.md"
NOT_OF_A_PAPER = {"clean", "imported"}
"""What stands for the lack of an attack, and for what somebody else has made."""


def stated() -> Iterator[tuple[str, str]]:
    """Yield each method of the tables with five columns, and its verdict."""
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].startswith("`"):
            yield from ((name, cells[4]) for name in re.findall(r"`(\w+)`", cells[0]))


def test_every_method_has_one_verdict_and_the_catalogue_has_the_same() -> None:
    told = list(stated())
    cards = {
        entry.name: entry.card.get("verdict")
        for kind in ("attack", "defense")
        for entry in entries(kind)
        if entry.provider == "benchbd"
    }
    assert len(told) == len(dict(told)) > 50
    assert dict(told) == {name: cards[name] for name in cards.keys() - NOT_OF_A_PAPER}
