"""A protocol whose rules name tables is shown as these tables, and a ranking stays within one."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.errors import ConfigError
from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.contents import Board, Section
from benchbd.leaderboard.board.row import row_of
from benchbd.leaderboard.render.csv_parquet import records
from benchbd.running.protocol import load_protocol, parse_protocol, stored_protocol
from support.made_cells import make_cell, provided

PROTOCOL = """
name: trial
dataset: pictures
model: net
attacks: [a, b, c, d]
defenses: [none, mend, patch_up, sift]
include:
  - {table: repairs, attack: [a, b], defense: [none, mend, patch_up]}
  - {table: filters, attack: [b, c], defense: [none, sift]}
  - {attack: d}
"""
CELLS = (
    ("a", "mend"),
    ("b", "mend"),
    ("a", "patch_up"),
    ("b", "patch_up"),
    ("b", "sift"),
    ("c", "sift"),
    ("b", "none"),
)


@pytest.fixture(autouse=True)
def _stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "leaderboard" / "protocols"
    folder.mkdir(parents=True)
    (folder / "trial.yaml").write_text(PROTOCOL)
    monkeypatch.chdir(tmp_path)


def of(*cells: tuple[str, str]) -> Board:
    return board(
        row_of(make_cell(attack, defense, protocol="trial@1")) for attack, defense in cells
    )


def names(section: Section) -> tuple[list[str], list[str]]:
    return [a.label for a in section.attacks], [d.label for d in section.defenses]


def test_each_named_rule_is_a_table() -> None:
    filters, repairs = of(*CELLS).sections
    assert (filters.title, repairs.title) == (
        "trial@1 · pictures · net · filters",
        "trial@1 · pictures · net · repairs",
    )
    assert names(filters) == (["b", "c"], ["none", "sift"])
    assert names(repairs) == (["a", "b"], ["mend", "none", "patch_up"])


def test_a_row_is_complete_when_it_has_what_its_rule_asks_for() -> None:
    places = {
        s.defense: (s.place, s.measured, s.expected)
        for section in of(*CELLS).sections
        for s in section.ranking.standings
    }
    assert places["mend"] == places["patch_up"] == places["sift"] == ("ranked", 2, 2)
    assert places["none"] == ("incomplete", 1, 2)


def test_a_cell_of_two_tables_is_one_cell() -> None:
    found = of(*CELLS)
    assert found.cells == len(CELLS)
    assert sum(r["attack"] == "b" and r["defense"] == "none" for r in records(found)) == 2


def test_a_newcomer_stands_beside_those_who_met_the_same_attacks() -> None:
    filters, repairs = of(*CELLS, ("a", "newcomer"), ("b", "newcomer")).sections
    assert {s.defense: s.place for s in repairs.ranking.standings}["newcomer"] == "ranked"
    assert {s.defense: s.place for s in filters.ranking.standings}["newcomer"] == "incomplete"


def test_what_no_named_rule_speaks_of_stands_together() -> None:
    """An attack of a rule without a name, and a cell that the protocol does not ask for."""
    plain = of(*CELLS, ("d", "mend"), ("c", "mend")).sections[0]
    assert (plain.title, *names(plain)) == ("trial@1 · pictures · net", ["c", "d"], ["mend"])


def test_a_rule_for_a_poison_ratio_is_a_table_of_that_ratio(tmp_path: Path) -> None:
    rules = "include:\n  - {table: few, poison_ratio: 0.01}\n  - {table: many, poison_ratio: 0.1}\n"
    file = tmp_path / "leaderboard" / "protocols" / "trial.yaml"
    file.write_text(PROTOCOL.partition("include:")[0] + "poison_ratios: [0.01, 0.1]\n" + rules)
    cells = [
        make_cell(provided("a", poison_ratio=ratio), "mend", protocol="trial@1")
        for ratio in (0.01, 0.1)
    ]
    found = {
        section.where.table: [a.poison_ratio for a in section.attacks]
        for section in board(map(row_of, cells)).sections
    }
    assert found == {"few": [0.01], "many": [0.1]}


def test_results_of_another_version_of_the_protocol_are_one_table() -> None:
    (section,) = board(row_of(make_cell(a, d, protocol="trial@2")) for a, d in CELLS).sections
    assert section.title == "trial@2 · pictures · net"


@pytest.mark.parametrize(
    "identity",
    ["trial@2", "trial", "other@1", "leaderboard/protocols/trial.yaml@1", "../trial@1", "@", ""],
)
def test_only_a_known_name_and_version_is_looked_up(identity: str) -> None:
    assert stored_protocol("trial@1") == load_protocol("trial")
    assert stored_protocol(identity) is None


def test_what_is_left_out_makes_no_table() -> None:
    with pytest.raises(ConfigError, match="only include rules make tables"):
        parse_protocol(
            {"name": "x", "dataset": "d", "model": "m", "exclude": [{"table": "t", "seed": 1}]},
            "x.yaml",
        )
