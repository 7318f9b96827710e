"""What a table says, each sentence held against planted figures."""

from __future__ import annotations

import pytest

from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.contents import Section
from benchbd.leaderboard.board.overview import Overview, main_table
from benchbd.leaderboard.board.row import row_of
from benchbd.measure.shares import Metrics
from benchbd.record.cell import Cell, CellCost
from support.made_cells import make_cell

ATTACKS = [f"attack{place}" for place in range(10)]


def cell(attack: str, defense: str, hits: int, seconds: float, clean: int, **more: object) -> Cell:
    cost = CellCost(defense_seconds=seconds, clean_samples=clean)
    return make_cell(attack, defense, hits=(900, hits, 0), cost=cost, **more)  # type: ignore[arg-type]


def row(defense: str, hits: int, seconds: float, clean: int) -> list[Cell]:
    return [cell(a, defense, hits + 9 * place, seconds, clean) for place, a in enumerate(ATTACKS)]


@pytest.fixture(scope="module")
def section() -> Section:
    """Ten attacks that took and one that did not. `good` and `quick` differ on one attack only, so
    that no test tells them apart; `bad` is worse on all.
    """
    weak = Metrics(acc=0.95, asr=0.02, rc=0.9)
    cells = [*row("good", 0, 20.0, 50), *row("quick", 0, 1.0, 50), *row("bad", 500, 2.0, 0)]
    cells[10] = cell("attack0", "quick", 9, 1.0, 50)
    cells += [
        cell("faint", defense, 9, seconds, clean, baseline=weak)
        for defense, seconds, clean in (("good", 20.0, 50), ("quick", 1.0, 50), ("bad", 2.0, 0))
    ]
    (found,) = board(map(row_of, cells)).sections
    return found


def test_every_question_is_answered_from_the_figures(section: Section) -> None:
    answers = Overview(section).answers()
    # ASR of `good`: 0, 1, .. 9 % of ten attacks, mean 4.5
    assert answers["Which defense?"] == [
        "By mean DER good comes first: over the 10 attacks that took it brings ASR, the share of "
        "triggered images that fool the model, from 100.0 % to 4.5 % on average, and ACC, the "
        "share of clean images that are recognised, from 95.0 % to 90.0 %.",
        "The tests do not tell it from 1 of the 2 others: quick.",
    ]
    assert answers["Against what?"] == [
        "10 of 11 attacks took; not faint.",
        "An attack took when its ASR without a defense is 10 % or more.",
        # (9 + 9 + 64.6) / 3
        "The hardest attack is attack9: defenses leave it an ASR of 27.5 % on average.",
        "good does worst against attack9: ASR 9.0 %.",
    ]
    assert answers["At what price?"] == [
        "good took 20.0 s and 50 clean images.",
        "The quickest of those that the tests do not tell from it is quick (ASR 4.6 %, ACC "
        "90.0 %), 1.0 s and 50 clean images.",
        "Without any clean image the best is bad (ASR 60.1 %, ACC 90.0 %).",
    ]


def test_a_table_in_a_line(section: Section) -> None:
    assert Overview(section).line() == (
        "10 of 11 attacks took; not faint. First by mean DER: good (ASR 4.5 %, ACC 90.0 %), rank "
        "1-2 of 3."
    )


def test_the_board_begins_with_the_repairs_that_met_most() -> None:
    few = [make_cell("patch", "mend", protocol="few@1")]
    many = [make_cell(a, "mend", protocol="many@1") for a in ATTACKS]
    said = {"families": {"defense": "input-detector"}}
    detectors = [
        make_cell(a, "watch", protocol="a@1", provenance=said) for a in [*ATTACKS, "one", "more"]
    ]
    found = board(map(row_of, [*few, *many, *detectors])).sections
    assert [s.where.protocol for s in found] == ["few@1", "many@1", "a@1"]
    place = main_table(found)
    assert place is not None and found[place].where.protocol == "many@1"


def test_nothing_ranked_says_what_took() -> None:
    (found,) = board([row_of(make_cell("patch", "none", hits=(950, 900, 0)))]).sections
    assert Overview(found).answers() == {"Against what?": ["1 of 1 attacks took."]}
    assert main_table([found]) is None
    assert main_table([]) is None
