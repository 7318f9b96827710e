"""What is a threat, who contends, and which entries belong to which attack."""

from __future__ import annotations

import pytest

from benchbd.leaderboard.board.contents import THREAT_ASR
from benchbd.measure.shares import Metrics
from support.made_boards import of, only, two_by_two
from support.made_cells import make_cell


@pytest.mark.parametrize(
    ("asr", "threat"), [(THREAT_ASR, True), (THREAT_ASR - 0.001, False), (1.0, True)]
)
def test_an_attack_that_takes_is_a_threat(asr: float, threat: bool) -> None:
    cell = make_cell(baseline=Metrics(acc=0.95, asr=asr, rc=0.0))
    (attack,) = only(of(cell)).attacks
    assert (attack.threat, attack.healthy) == (threat, False)


def test_where_nothing_is_poisoned_there_is_no_threat() -> None:
    (attack,) = only(of(make_cell("nothing"))).attacks
    assert (attack.threat, attack.healthy) == (False, True)


def test_oracles_and_no_defense_do_not_contend() -> None:
    cells = [
        make_cell(defense="none"),
        make_cell(defense="mend"),
        make_cell(defense="o", oracle=True),
    ]
    contending = {defense.label: defense.contends for defense in only(of(*cells)).defenses}
    assert contending == {"none": False, "mend": True, "o": False}


def test_each_attack_comes_with_its_entries_in_the_order_of_the_defenses() -> None:
    section = only(two_by_two())
    found = {
        attack.label: [(entry.attack, entry.defense) for entry in entries]
        for attack, entries in section.by_attack()
    }
    assert found == {"a": [("a", "x"), ("a", "y")], "b": [("b", "x"), ("b", "y")]}


def test_an_entry_counts_what_was_measured_and_what_there_should_be() -> None:
    counts = {
        (entry.attack, entry.defense): (entry.measured, entry.expected)
        for entry in only(two_by_two()).entries
    }
    # the second attack was made at one seed
    assert counts == {
        ("a", "x"): (2, 2),
        ("a", "y"): (2, 2),
        ("b", "x"): (1, 1),
        ("b", "y"): (0, 1),
    }
