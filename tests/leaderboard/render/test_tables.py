"""What stands in the tables: counts of cells, labels of what was imputed, statuses, intervals and
their absence.
"""

from __future__ import annotations

import pytest

from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.contents import Section
from benchbd.leaderboard.board.interval import Summary
from benchbd.leaderboard.board.row import row_of
from benchbd.leaderboard.render.markdown import to_markdown
from benchbd.leaderboard.render.tables import TextTable, attack_tables, headline_tables, interval
from benchbd.measure.shares import Metrics
from benchbd.record.cell import Cell, StatusCode
from support.made_cells import attack_named, make_cell


def section(cells: list[Cell]) -> Section:
    (found,) = board(map(row_of, cells)).sections
    return found


def table(of: Section, title: str) -> TextTable:
    return next(each for each in headline_tables(of) if each.title.startswith(title))


def row(of: TextTable, name: str) -> dict[str, str]:
    return next(dict(zip(of.header, each, strict=True)) for each in of.rows if name in each)


@pytest.fixture
def of() -> Section:
    """Ten attacks and three seeds: `full` has all cells, `gap` lacks three, `knows` is
    an oracle.
    """
    names = [f"attack{place}" for place in range(10)]
    cells = [
        make_cell(a, d, s, oracle=d == "knows")
        for a in names
        for d in ("full", "knows")
        for s in range(3)
    ]
    for attack in names:
        for seed in range(3):
            code: StatusCode = "ok" if attack != "attack3" else ("n/a", "timeout", "failed")[seed]  # type: ignore[assignment]
            cells.append(
                make_cell(
                    attack, "gap", seed, code=code, reason="" if code == "ok" else f"it was {code}"
                )
            )
    return section(cells)


def test_rows_say_how_many_of_their_cells_have_numbers(of: Section) -> None:
    assert row(table(of, "Ranking"), "full")["cells"] == "30/30"
    assert row(table(of, "Incomplete"), "gap")["cells"] == "27/30"


def test_the_imputed_view_is_labelled_and_apart(of: Section) -> None:
    imputed = table(of, "Incomplete")
    assert imputed.title == "Incomplete rows, imputed worst case"
    assert imputed.note.startswith("Not measurements:") and imputed.note.endswith("Not ranked.")
    assert row(imputed, "gap")["ASR worst"] == "100.0 (attack3)"
    assert row(imputed, "gap")["ASR mean"] == "19.0"  # nine attacks of 10 %, one of 100 %
    assert "gap" not in {each[1] for each in table(of, "Ranking").rows}


def test_the_worst_case_stands_beside_the_mean(of: Section) -> None:
    header = table(of, "Ranking").header
    for metric in ("DER", "ASR", "ACC", "RC"):
        assert header.index(f"{metric} mean") == header.index(f"{metric} worst") + 1


def test_an_oracle_is_called_one(of: Section) -> None:
    assert row(table(of, "Ranking"), "knows")["rank"] == "oracle"
    assert any(each[0] == "knows (oracle)" for each in table(of, "ASR / ACC").rows)


def test_what_has_no_numbers_is_named_with_its_reasons(of: Section) -> None:
    (found,) = table(of, "Cells without numbers").rows
    assert found == (
        "attack3",
        "gap",
        "failed 1, n/a 1, timeout 1",
        "it was n/a; it was timeout; it was failed",
    )
    assert row(table(of, "ASR / ACC"), "gap")["attack3"] == "failed 1, n/a 1, timeout 1"


def test_an_entry_has_interval_seeds_images_and_cost() -> None:
    (details,) = attack_tables(
        section([make_cell(seed=seed, hits=(900, 90 + seed, 720)) for seed in range(3)])
    )
    found = row(details, "mend")
    # 90, 91, 92 of 900: mean 0.10111, deviation 0.00111, half width 4.3027 * 0.00111 / sqrt(3) =
    # 0.00276
    assert (found["ASR"], found["seeds"], found["images"]) == (
        "10.1 [9.8, 10.4]",
        "3/3",
        "1000 + 900",
    )
    assert (found["seconds"], found["peak MB"], found["clean samples"]) == ("3.0", "100", "50")


def test_two_seeds_show_both_values_and_no_interval() -> None:
    assert interval(Summary((0.9, 0.5), 0.7)) == "90.0 and 50.0"
    (details,) = attack_tables(
        section([make_cell(seed=seed, hits=(900, 90 * (seed + 1), 0)) for seed in range(2)])
    )
    assert row(details, "mend")["ASR"] == "10.0 and 20.0"


@pytest.mark.parametrize(
    ("attacks", "defenses", "words"),
    [("ab", "xy", "With 2 attacks and 1 pair no"), ("a", "xyz", "With 1 attack and 3 pairs no")],
)
def test_few_attacks_are_said_to_show_nothing(attacks: str, defenses: str, words: str) -> None:
    cells = [
        make_cell(a, d, hits=(900, 90 if d == "x" else 800, 0)) for a in attacks for d in defenses
    ]
    assert f"{words} difference can reach that level." in to_markdown(board(map(row_of, cells)))


def test_what_the_ranking_leaves_out_is_named_with_the_most_that_is_left() -> None:
    weak = Metrics(acc=0.95, asr=0.05, rc=0.9)
    cells = [
        make_cell("weak", baseline=weak),
        make_cell("a"),
        make_cell("b", baseline=Metrics(acc=0.95, asr=0.6, rc=0.3)),
    ]
    note = table(section(cells), "Ranking").note
    assert "Left out, for an ASR below 10 % without a defense: weak." in note
    assert "at most 90.0 here" in note  # the mean of (1 + 1.0) / 2 and (1 + 0.6) / 2


def test_a_sound_model_is_called_so() -> None:
    (details,) = attack_tables(section([make_cell(attack_named("nothing"))]))
    assert details.title == "nothing: no attack, a sound model"
