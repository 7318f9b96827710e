"""Plugins that break no rule pass all checks, and every check has a plugin that it catches; which
is caught by which stands in tests/testing/checks.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.testing.check import CHECKS
from benchbd.testing.result import RuleBroken
from benchbd.testing.runner import check_plugin
from support.mutants import MUTANTS, NOTHING, catcher, mutant


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MUTANTS if catcher(name) == NOTHING])
def test_what_breaks_no_rule_passes_all_checks(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    if name != "keeps_all_rules":  # processes of its own for one of them are enough
        monkeypatch.setattr("benchbd.testing.runner.CHECKS", [c for c in CHECKS if not c.apart])
    results = check_plugin(mutant(name), "full")
    assert [result for result in results if result.status == "failed"] == []
    assert [result.check for result in results if result.status == "skipped"] == [
        "catalogue_matches_class"
    ]


def test_every_check_catches_a_mutant() -> None:
    elsewhere = {"catalogue_matches_class"}  # tests/testing/checks/test_declaration.py
    assert {check.name for check in CHECKS} - {catcher(name) for name in MUTANTS} == elsewhere


def test_every_mutant_is_caught_by_a_check_that_there_is() -> None:
    known = {check.name for check in CHECKS} | {NOTHING}
    assert {name for name in MUTANTS if catcher(name) not in known} == set()


def test_a_broken_rule_is_no_crash() -> None:
    assert not issubclass(RuleBroken, AssertionError)
