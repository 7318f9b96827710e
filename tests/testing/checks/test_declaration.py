"""Every check of declarations catches the plugin that breaks its rule; a card that is missing,
malformed or says something else than the class is caught.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchbd.plugin.entry import PluginEntry
from benchbd.plugin.registry import load
from benchbd.scaffold.write import write_package
from benchbd.testing.checks import declaration
from benchbd.testing.runner import checks_for, run_check
from benchbd.testing.subject import Subject
from support.mutants import breaking, require_caught

FT = load("defense", "ft")


@breaking(declaration)
def test_a_mutant_is_caught_by_its_check(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    require_caught(name)


def result(
    monkeypatch: pytest.MonkeyPatch, card: dict[str, Any], fault: str = ""
) -> tuple[str, str]:
    entry = PluginEntry("defense", "ft", "somebody", "1.0", "package.ft:FT", card)
    monkeypatch.setattr(declaration, "entry_of", lambda cls: entry)
    monkeypatch.setattr(declaration, "catalogue_fault", lambda package: fault)
    (check,) = [check for check in checks_for(FT, "api") if check.name == "catalogue_matches_class"]
    found = run_check(check, Subject(FT))
    return found.status, found.message


def test_a_card_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert result(monkeypatch, {"family": "repair", "summary": "tunes"}) == ("passed", "")


@pytest.mark.parametrize(
    ("card", "fault", "message"),
    [
        ({}, "", "no card under defense: ft: in the registry.yaml of package; write one"),
        ({"family": "repair"}, "", "has no summary"),
        (
            {"family": "data-filter", "summary": "x"},
            "",
            "its card says family: data-filter, its class is a repair",
        ),
        (
            {},
            "ScannerError: line 3",
            "the registry.yaml of package cannot be read: ScannerError: line 3",
        ),
    ],
)
def test_a_card_that_does_not_fit(
    monkeypatch: pytest.MonkeyPatch, card: dict[str, Any], fault: str, message: str
) -> None:
    status, said = result(monkeypatch, card, fault)
    assert (status, message in said) == ("failed", True), said


def test_a_card_that_nobody_has_filled_in_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (_, *written) = write_package("defense", "mine", tmp_path)
    (path,) = [path for path in written if path.name == "registry.yaml"]
    card = yaml.safe_load(path.read_text())["defense"]["mine"]
    status, said = result(monkeypatch, card)
    assert (
        status == "skipped"
        and "still has what `benchbd new` wrote: 'Who: Title of the paper'" in said
    )
    status, said = result(monkeypatch, card | {"paper": {"authors": "Ada", "title": "On heads"}})
    assert status == "skipped" and "'what it does, in one line'" in said
    filled = {"summary": "tunes", "paper": {"authors": "Ada", "title": "On heads"}}
    assert result(monkeypatch, card | filled) == ("passed", "")
