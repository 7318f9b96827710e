"""Plugins that break one rule each, and the check that each says it is caught by."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from benchbd.plugin.loose import classes_in
from benchbd.plugin.plugin import Plugin
from benchbd.testing.runner import checks_for, run_check
from benchbd.testing.subject import Subject

FOLDER = Path(__file__).parents[1] / "testing" / "mutants"
MUTANTS = {path.stem: path for path in sorted(FOLDER.glob("*.py"))}
NOTHING = "nothing"
"""What a plugin is caught by that keeps all rules."""


def catcher(name: str) -> str:
    """The name after `caught by:` in the mutant's docstring."""
    found = re.search(r"caught\s+by:\s+(\w+)\.", MUTANTS[name].read_text())
    assert found, f"{MUTANTS[name]} does not say by which check it is caught"
    return found.group(1)


def mutant(name: str) -> type[Plugin]:
    (cls,) = classes_in(MUTANTS[name])
    return cls


def breaking(checks: ModuleType) -> pytest.MarkDecorator:
    """Runs a test once for each mutant that a check of this module must catch."""
    return pytest.mark.parametrize(
        "name", [name for name in MUTANTS if hasattr(checks, catcher(name))]
    )


def require_caught(name: str) -> None:
    """The mutant is caught by the check that it names, and by no crash."""
    cls = mutant(name)
    (check,) = [check for check in checks_for(cls, "full") if check.name == catcher(name)]
    result = run_check(check, Subject(cls))
    crashed = result.message.startswith("it raised")
    assert (result.status, crashed) == ("failed", name == "verb_crashes"), result
