"""Which plugins are broken: every one is tried, also behind one that ends the process."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import Any

import pytest

from benchbd.plugin import probe
from benchbd.plugin.entry import PluginEntry
from benchbd.plugin.probe import find_broken_plugins
from benchbd.plugin.registry import BrokenPlugin

NAMES = ("good", "bad", "deadly", "late")
ENTRIES = [PluginEntry("defense", name, "theirs:It", "dist", "1.0", {}) for name in NAMES]


@dataclass
class Process:
    """What a process of the probe would have printed, and how it would have ended."""

    stdout: str
    returncode: int
    stderr: str = ""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From which plugin on each process began; the one called deadly ends its process."""
    begun: list[str] = []

    def run(command: list[str], **_: Any) -> Process:
        first = int(command[-1])
        begun.append(NAMES[first])
        lines = ["a plugin prints what it likes"]
        for name in NAMES[first:]:
            if name == "deadly":
                return Process("\n".join(lines), -11, "last words")
            said = '{"reason": "contract", "message": "no verb", "trace": ""}'
            lines.append(f"benchbd probe: {said if name == 'bad' else '{}'}")
        return Process("\n".join(lines), 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(probe, "_trials", lambda: [(entry, lambda: None) for entry in ENTRIES])
    monkeypatch.setattr(probe, "clashes", lambda kind: [])
    return begun


def test_the_last_that_was_tried_is_the_culprit_and_the_rest_is_tried_in_another_process(
    started: list[str],
) -> None:
    told = {fault.entry.name: fault for fault in find_broken_plugins()}
    assert set(told) == {"bad", "deadly"}
    assert (told["bad"].reason, told["bad"].message) == ("contract", "no verb")
    assert told["deadly"].message == "its import ended the process with signal 11"
    assert told["deadly"].trace == "last words"
    assert started == ["good", "late"]


def test_names_that_clash_are_told_too(started: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clash = BrokenPlugin(ENTRIES[0], "name-clash", "two provide it", "")
    monkeypatch.setattr(probe, "clashes", lambda kind: [clash] if kind == "attack" else [])
    assert find_broken_plugins()[-1] == clash


def test_what_a_process_answers_is_read_from_among_what_plugins_print(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = BrokenPlugin(ENTRIES[1], "contract", "no verb", "")
    monkeypatch.setattr("sys.argv", ["probe", "1"])
    monkeypatch.setattr(
        probe, "_trials", lambda: [(ENTRIES[0], lambda: 1 / 0), (ENTRIES[1], lambda: fault)]
    )
    probe.main()
    (answer,) = [probe._answer(line) for line in capsys.readouterr().out.splitlines() if line]
    assert answer == {"reason": "contract", "message": "no verb", "trace": ""}
