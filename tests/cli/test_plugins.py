"""`benchbd plugins`: who provides what, and what is broken, with its trace where that is wanted."""

from __future__ import annotations

import pytest

from benchbd.plugin import probe
from benchbd.plugin.entry import PluginEntry
from benchbd.plugin.registry import BrokenPlugin, entries
from support.command_line import told

FAULT = BrokenPlugin(
    PluginEntry("defense", "mine", "me", "1", "mine:Mine"), "import-error", "no module", "line 7"
)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> list[BrokenPlugin]:
    """What is found broken."""
    found: list[BrokenPlugin] = []
    monkeypatch.setattr(probe, "find_broken_plugins", lambda: found)
    return found


def test_packages_are_told_with_how_much_they_provide(faults: list[BrokenPlugin]) -> None:
    first, *_, last = told("plugins").splitlines()
    count = sum(entry.provider == "benchbd" for entry in entries("attack"))
    assert first.startswith("benchbd ") and f": {count} attacks, " in first
    assert last == "no plugin is broken"


def test_what_is_broken_is_told_with_its_reason(faults: list[BrokenPlugin]) -> None:
    faults.append(FAULT)
    said = told("plugins")
    assert said.splitlines()[-1] == "broken defense.mine (import-error): no module"
    assert told("plugins", "--verbose").splitlines()[-1] == "line 7"
