"""The checks are checked: every mutant breaks one rule and is caught by the check that names it,
and by no crash.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchbd.plugin.loose import classes_in
from benchbd.testing.check import CHECKS
from benchbd.testing.result import RuleBroken
from benchbd.testing.runner import check_plugin, checks_for, run_check
from benchbd.testing.subject import Subject

MUTANTS = sorted((Path(__file__).parent / "mutants").glob("*.py"))


def catcher(path: Path) -> str:
    """The name after `caught by:` in the mutant's docstring."""
    found = re.search(r"caught\s+by:\s+(\w+)\.", path.read_text())
    assert found, f"{path} does not say by which check it is caught"
    return found.group(1)


@pytest.mark.parametrize(
    "path", [p for p in MUTANTS if catcher(p) != "nothing"], ids=lambda p: p.stem
)
def test_a_mutant_is_caught_by_its_check(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (cls,) = classes_in(path)
    (check,) = [check for check in checks_for(cls, "full") if check.name == catcher(path)]
    result = run_check(check, Subject(cls))
    assert (result.status, result.message.startswith("it raised")) == (
        "failed",
        path.stem == "verb_crashes",
    ), result


@pytest.mark.parametrize(
    "path", [p for p in MUTANTS if catcher(p) == "nothing"], ids=lambda p: p.stem
)
def test_what_breaks_no_rule_passes_all_checks(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    if path.stem != "keeps_all_rules":  # processes of its own for one of them are enough
        monkeypatch.setattr("benchbd.testing.runner.CHECKS", [c for c in CHECKS if not c.apart])
    (cls,) = classes_in(path)
    results = check_plugin(cls, "full")
    assert [result for result in results if result.status == "failed"] == []
    assert [result.check for result in results if result.status == "skipped"] == [
        "catalogue_matches_class"
    ]


def test_every_check_catches_a_mutant() -> None:
    elsewhere = {"catalogue_matches_class"}  # tests/testing/test_catalogue.py
    assert {check.name for check in CHECKS} - {catcher(path) for path in MUTANTS} == elsewhere


def test_a_broken_rule_is_no_crash() -> None:
    assert not issubclass(RuleBroken, AssertionError)
