"""A function becomes a check of the families that it names, under the first line of its text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchbd.api import Attack, Repair
from benchbd.defense.defense import Defense
from benchbd.plugin.registry import load
from benchbd.testing import check as checking
from benchbd.testing.check import Check, check, require
from benchbd.testing.result import RuleBroken
from benchbd.testing.subject import Subject


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Check]]:
    """The checks that a test registers, and no others."""
    found: list[Check] = []
    monkeypatch.setattr(checking, "CHECKS", found)
    yield found


def some_rule(subject: Subject) -> None:
    """It keeps a rule.

    And more about it.
    """


def test_its_rule_is_the_first_line(registered: list[Check]) -> None:
    assert check("smoke", Attack, apart=True)(some_rule) is some_rule
    (found,) = registered
    assert (found.name, found.rule) == ("some_rule", "It keeps a rule.")
    assert (found.level, found.apart, found.run) == ("smoke", True, some_rule)


@pytest.mark.parametrize(
    ("families", "wanted"),
    [
        ((), {"badnet", "ft", "strip", "digits"}),
        ((Attack,), {"badnet"}),
        ((Attack, Repair), {"badnet", "ft"}),
        ((Defense,), {"ft", "strip"}),
    ],
)
def test_it_is_for_the_families_that_it_names(
    registered: list[Check], families: tuple[Any, ...], wanted: set[str]
) -> None:
    check("api", *families)(some_rule)
    plugins = {"badnet": "attack", "ft": "defense", "strip": "defense", "digits": "dataset"}
    assert {
        name for name, kind in plugins.items() if registered[0].wants(load(kind, name))
    } == wanted


def test_but_for_those_that_are_left_out(registered: list[Check]) -> None:
    check("api", Defense, but=lambda cls: bool(cls.oracle))(some_rule)
    wants = registered[0].wants
    assert wants(load("defense", "anp")) and not wants(load("defense", "anp_oracle"))


def test_a_rule_that_is_broken_is_said_in_its_words() -> None:
    require(True, "nothing")
    with pytest.raises(RuleBroken, match="it has no head; give it one"):
        require(False, "it has no head; give it one")
