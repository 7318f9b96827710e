"""Rankings with planted winners, gaps and oracles."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.contents import Section
from benchbd.leaderboard.board.ranking import Rank
from benchbd.leaderboard.board.row import row_of
from benchbd.measure.shares import Metrics
from benchbd.record.cell import Cell
from support.made_cells import make_cell

ATTACKS = [f"attack{place:02d}" for place in range(10)]


def section(cells: Sequence[Cell]) -> Section:
    (found,) = board(map(row_of, cells)).sections
    return found


def standing(of: Section, defense: str) -> Rank:
    return next(s for s in of.ranking.standings if s.defense == defense)


def row(
    defense: str, attack_hits: int, attacks: Sequence[str] = ATTACKS, **more: object
) -> list[Cell]:
    """One cell per attack; each attack one hit harder than the one before, so that differences
    between defenses are plain.
    """
    return [
        make_cell(a, defense, hits=(900, attack_hits + place, 0), **more)
        for place, a in enumerate(attacks)
    ]  # type: ignore[arg-type]


def test_worst_case_and_mean_by_hand() -> None:
    cells = [
        make_cell("a", seed=0, hits=(900, 90, 810)),
        make_cell("a", seed=1, hits=(800, 270, 630)),
        make_cell("b", seed=0, hits=(700, 0, 900)),
        make_cell("b", seed=1, hits=(700, 0, 900)),
    ]
    found = standing(section(cells), "mend").aggregates
    # ASR of a: mean of 0.1 and 0.3; ACC of a: mean of 0.9 and 0.8; of b 0 and 0.7
    assert (found["asr"].mean, found["asr"].worst, found["asr"].worst_attack) == (0.1, 0.2, "a")
    assert (found["acc"].mean, found["acc"].worst, found["acc"].worst_attack) == (0.775, 0.7, "b")
    # DER: a (0.9 - 0.05 + 1) / 2 and (0.7 - 0.15 + 1) / 2, mean 0.85; b (1 - 0.25 + 1) / 2 = 0.875
    assert (found["der"].mean, found["der"].worst, found["der"].worst_attack) == (0.8625, 0.85, "a")


def test_defenses_differ_in_rank_when_they_differ_on_every_attack() -> None:
    of = section([*row("good", 0), *row("same", 0), *row("bad", 400)])
    assert [(s.defense, s.ranks) for s in of.ranking.standings] == [
        ("good", (1, 2)),
        ("same", (1, 2)),
        ("bad", (3, 3)),
    ]
    against = next(c for c in of.ranking.comparisons if (c.better, c.worse) == ("good", "bad"))
    # ten attacks of one sign: 2 / 2**10; the smallest of three pairs, so three times that
    assert against.p == pytest.approx(2 / 1024, rel=1e-3)
    assert against.adjusted == pytest.approx(6 / 1024, rel=1e-3)
    assert against.difference == pytest.approx(400 / 900 / 2, abs=1e-6)


def test_few_attacks_cannot_show_a_difference() -> None:
    of = section([*row("good", 0, ATTACKS[:4]), *row("bad", 800, ATTACKS[:4])])
    assert {s.ranks for s in of.ranking.standings} == {(1, 2)}
    assert of.ranking.comparisons[0].p == 2 / 2**4


def test_incomplete_rows_have_no_aggregates_but_an_imputed_worst_case() -> None:
    cells = [*row("full", 100, ATTACKS[:2]), make_cell("attack00", "gap", hits=(900, 90, 0))]
    cells.append(make_cell("attack01", "gap", code="timeout", reason="too slow"))
    found = standing(section(cells), "gap")
    assert (found.place, found.ranks, found.measured, found.expected) == ("incomplete", None, 1, 2)
    assert found.aggregates == {}
    assert (found.imputed["asr"].mean, found.imputed["asr"].worst_attack) == (0.55, "attack01")
    assert found.imputed["acc"].mean == 0.45
    assert standing(section(cells), "full").imputed == {}


def test_a_cell_that_was_never_run_is_missing() -> None:
    of = section([*row("full", 0, ATTACKS[:2]), make_cell("attack00", "short")])
    assert standing(of, "short").measured == 1
    assert {e.defense: e.codes for e in of.entries if e.attack == "attack01"} == {
        "full": {"ok": 1},
        "short": {"missing": 1},
    }


def test_an_attacked_model_that_gave_nobody_numbers_is_expected_of_nobody() -> None:
    cells = [make_cell("a", d) for d in ("x", "y")] + [
        make_cell("b", d, code="crashed", reason="gone") for d in ("x", "y")
    ]
    of = section(cells)
    assert of.lost == (("b", 0),)
    assert {s.place for s in of.ranking.standings} == {"ranked"}
    assert {s.expected for s in of.ranking.standings} == {1}


def test_an_oracle_is_shown_and_not_ranked() -> None:
    of = section([*row("honest", 100), *row("knows", 0, oracle=True)])
    assert (standing(of, "knows").place, standing(of, "knows").ranks) == ("oracle", None)
    assert (
        standing(of, "knows").aggregates["asr"].mean < standing(of, "honest").aggregates["asr"].mean
    )
    assert of.ranking.comparisons == ()


def test_an_attack_that_poisons_nothing_counts_for_no_aggregate() -> None:
    cells = [make_cell("nothing", hits=(990, 10, 880)), make_cell("a", hits=(900, 450, 400))]
    of = section(cells)
    assert standing(of, "mend").aggregates["asr"].mean == 0.5
    assert standing(of, "mend").clean_acc == 0.99
    assert [(a.label, a.healthy) for a in of.attacks] == [("nothing", True), ("a", False)]


def test_an_attack_that_did_not_take_counts_for_no_aggregate() -> None:
    weak = Metrics(acc=0.95, asr=0.09, rc=0.9)
    of = section(
        [
            make_cell("weak", hits=(900, 81, 810), baseline=weak),
            make_cell("a", hits=(900, 450, 400)),
        ]
    )
    assert [(a.label, a.threat) for a in of.attacks] == [("a", True), ("weak", False)]
    found = standing(of, "mend")
    assert (found.aggregates["der"].worst_attack, found.aggregates["asr"].mean, found.measured) == (
        "a",
        0.5,
        2,
    )


def test_accuracy_on_sound_models_is_of_all_of_them() -> None:
    cells = [
        make_cell("nothing", hits=(990, 10, 880)),
        make_cell("nothing", seed=1, code="diverged", reason="no number"),
    ]
    cells += [make_cell("nothing", "other", seed) for seed in (0, 1)]
    assert standing(section(cells), "mend").clean_acc is None
    assert standing(section(cells), "other").clean_acc == 0.9


def test_what_defenses_leave_of_an_attack_leaves_out_oracles_and_no_defense() -> None:
    cells = [
        make_cell("a", "none", hits=(950, 900, 0)),
        make_cell("a", hits=(900, 450, 400)),
        make_cell("a", "knows", oracle=True),
    ]
    assert section(cells).attacks[0].survival == 0.5
    assert section(cells[:1]).attacks[0].survival is None
