"""The log of what happens: a line of JSON for each event."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchbd import run
from benchbd_zoo.hooks.json_lines import JsonLines

TINY = {"recipe.epochs": 1, "dataset.size": 8, "model.width": 2, "attack.size": 2}


@pytest.mark.slow
def test_the_bundled_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCHBD_LOG", "logs/events.jsonl")
    done = run("badnet", "none", settings=TINY)
    events = [
        json.loads(line) for line in (tmp_path / "logs/events.jsonl").read_text().splitlines()
    ]
    names = [event["event"] for event in events]
    assert set(names) == {"cell_started", "stage_progress", "file_written", "cell_finished"}
    assert events[names.index("cell_finished")]["cell"] == done.cells[0].to_json()
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)


def test_a_log_can_be_appended_to(tmp_path: Path) -> None:
    for _ in range(2):
        JsonLines(tmp_path / "log").file_written("x")
    assert len((tmp_path / "log").read_text().splitlines()) == 2
