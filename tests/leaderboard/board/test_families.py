"""Stage, label mode and need of clean data: from the results first, then from benchbd's own
catalogue.
"""

from __future__ import annotations

from pathlib import Path

from benchbd.leaderboard.board.families import (
    AttackKind,
    DefenseKind,
    MethodOrigin,
    attack_kind,
    defense_kind,
)
from benchbd.leaderboard.board.method_names import Method
from benchbd.leaderboard.board.row import Row, row_of
from benchbd.record.plugin_record import PluginRecord
from support.made_cells import CellCost, attack_named, make_cell, provided

ROOT = Path(__file__).parents[3]


def defense_of(rows: list[Row]) -> DefenseKind:
    return defense_kind(rows[0].defense, rows)


def test_a_result_says_its_families() -> None:
    rows = [
        row_of(
            make_cell(
                provenance={"families": {"attack": "training-controlled", "defense": "data-filter"}}
            )
        )
    ]
    assert defense_of(rows).family == "data-filter"
    assert attack_kind(rows[0].attack, rows).family == "training-controlled"


def test_one_of_several_results_is_enough() -> None:
    silent, telling = (
        make_cell(seed=0, code="failed"),
        make_cell(seed=1, provenance={"stages": {"defense": "repair"}}),
    )
    assert defense_of([row_of(silent), row_of(telling)]).family == "repair"


def test_a_family_that_there_is_not_is_unknown() -> None:
    for said in ({"defense": "<script>"}, {"defense": ["repair"]}, "repair", None):
        assert defense_of([row_of(make_cell(provenance={"stages": said}))]).family == "unknown"


def test_the_catalogue_fills_what_old_results_do_not_say() -> None:
    def method(name: str, **params: object) -> Method:
        return Method.of(
            PluginRecord(
                name=name, provider="benchbd", version="0", results_version=1, params=params
            )
        )

    assert attack_kind(method("wanet"), []).family == "training-controlled"
    assert attack_kind(method("sig"), []).labels == "clean-label"
    assert attack_kind(method("badnet", label_mode="all_to_all"), []).labels == "all-to-all"
    assert (defense_kind(method("anp"), []).family, defense_kind(method("anp"), []).clean_data) == (
        "repair",
        True,
    )
    assert not defense_kind(method("none"), []).clean_data


def test_the_catalogue_speaks_for_benchbd_alone() -> None:
    found = attack_kind(Method.of(provided("sig", provider="somebody")), [])
    assert found == AttackKind("unknown", "unknown", "", MethodOrigin())


def test_a_method_of_the_catalogue_leads_to_its_paper_and_its_code() -> None:
    found = defense_kind(Method.of(provided("anp", provider="benchbd")), []).source
    assert (found.year, found.url) == (2021, "https://arxiv.org/abs/2110.14430")
    assert found.code == "https://github.com/csdongxian/ANP_backdoor"
    assert (ROOT / "docs" / found.page).is_file()


def test_what_was_handed_clean_samples_needs_them() -> None:
    assert defense_of([row_of(make_cell())]).clean_data
    assert not defense_of([row_of(make_cell(cost=CellCost()))]).clean_data


def test_label_modes_are_words() -> None:
    rows = [row_of(make_cell(attack_named("patch", label_mode="all_to_one")))]
    assert attack_kind(rows[0].attack, rows).labels == "all-to-one"
    rows = [row_of(make_cell(attack_named("nothing")))]
    assert attack_kind(rows[0].attack, rows).labels == "nothing poisoned"
