"""Badges of ranked defenses."""

from __future__ import annotations

from xml.etree import ElementTree

from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.row import row_of
from benchbd.leaderboard.render.badges import badges
from support.made_cells import make_cell, provided


def test_a_badge_says_rank_and_means_and_holds_no_markup_of_a_name() -> None:
    cells = [
        make_cell(defense=provided("<b>&"), hits=(900, 90, 0)),
        make_cell(defense="none", hits=(950, 900, 0)),
        make_cell(defense="knows", oracle=True),
    ]
    ((name, svg),) = badges(board(map(row_of, cells))).items()
    assert "/" not in name and name.endswith(".svg")
    root = ElementTree.fromstring(svg)
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert words == ["backdoors: pictures", "rank 1-2 of 2, ASR 10.0, ACC 90.0"]
    assert root.attrib["aria-label"].startswith("<b>&: rank 1-2 of 2")
    assert not list(root.iter("{http://www.w3.org/2000/svg}b"))


def test_without_a_ranking_there_is_none() -> None:
    assert badges(board([])) == {}
