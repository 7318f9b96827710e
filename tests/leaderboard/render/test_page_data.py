"""What the page carries: the figures of the board, and fewer curves where there are many."""

from __future__ import annotations

import json
import re

import pytest

from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.contents import Board
from benchbd.leaderboard.board.row import row_of
from benchbd.leaderboard.render import page_data as thinning
from benchbd.leaderboard.render.json_document import document
from benchbd.leaderboard.render.page_data import board_digest, inline
from support.made_boards import page, with_curves
from support.made_cells import make_cell


@pytest.fixture
def small() -> Board:
    return with_curves()


def test_it_carries_the_figures_of_the_board(small: Board) -> None:
    carried = json.loads(json.dumps(inline(small, document(small))))
    section, stated = carried["sections"][0], document(small)["sections"][0]
    assert len(section["entries"]) == len(stated["entries"]) == 4
    for entry, facts in zip(section["entries"], stated["entries"], strict=True):
        for place, name in enumerate(carried["figures"]):
            stated_here = facts["metrics"].get(name)
            assert entry[1][place] == (
                [stated_here[part] for part in ("mean", "low", "high")] if stated_here else 0
            )
        assert [cell[2] for cell in entry[6]] == [key[:12] for key in facts["cells"]]
        assert [cell[3][1] for cell in entry[6]] == facts["metrics"]["asr"]["values"]


def test_each_defense_is_compared_with_the_first(small: Board) -> None:
    (section,) = inline(small, document(small))["sections"]
    assert section["against"] == {"y": {"than": "x", "difference": 0.0, "p": 1.0, "adjusted": 1.0}}


def test_a_board_has_digits_that_change_with_its_facts(small: Board) -> None:
    other = board([row_of(make_cell())])
    assert re.fullmatch("[0-9a-f]{12}", board_digest(document(small)))
    assert board_digest(document(small)) != board_digest(document(other))
    assert board_digest(document(small)) in page(small)


def test_many_curves_are_thinned_to_one_seed(small: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def curves_of() -> list[int]:
        (section,) = inline(small, document(small))["sections"]
        return [sum(bool(cell[10]) for cell in entry[6]) for entry in section["entries"]]

    assert curves_of() == [3] * 4
    monkeypatch.setattr(thinning, "MAX_PAGE_POINTS", 10)
    assert curves_of() == [1] * 4
    assert '"every_seed":false' in page(small)
