"""`benchbd sweep`: from an axis to a table, a file and a picture; and on where it was left."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from support.command_line import benchbd, told

TINY = """
name: tiny
dataset: {name: digits, params: {size: 8}}
model: {name: resnet_small, params: {width: 2}}
recipe: {epochs: 1}
seeds: [0]
attacks: [badnet]
defenses: [none]
"""
WORDS = ("--attack", "badnet", "--executor", "inprocess")


@pytest.mark.slow
def test_an_axis_becomes_a_table_a_file_and_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(TINY)
    said = told("sweep", "tiny.yaml", "--over", "poison_ratio=0.05,0.2", *WORDS)
    assert "breaks at" in said and "written: sweeps/poison_ratio.png" in said
    rows = list(csv.DictReader(Path("sweeps/poison_ratio.csv").read_text().splitlines()))
    assert [row["poison_ratio"] for row in rows] == ["0.05", "0.2"]
    before = {path: path.stat().st_mtime_ns for path in Path("sweeps/tiny").rglob("*.json")}
    again = told("sweep", "tiny.yaml", "--over", "poison_ratio=0.05,0.2", *WORDS, "--json")
    (curve,) = json.loads(again.splitlines()[-1])["curves"]
    shown = [point["asr"]["mean"] for point in curve["points"]]
    assert shown == [float(row["asr"]) for row in rows]
    after = {path: path.stat().st_mtime_ns for path in Path("sweeps/tiny").rglob("*.json")}
    assert after == before and len(after) == 2, "what is stored is not run again"


def test_a_value_that_does_not_fit_stops_the_sweep_before_it_starts(tmp_path: Path) -> None:
    ended = benchbd("sweep", "digits-quick", "--over", "poison_ratio=0.1,7", *WORDS, cwd=tmp_path)
    assert ended.returncode == 2 and "poison_ratio" in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_value_without_numbers_says_why(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    words = ("--over", "clean_images=1", *WORDS, "--defense", "ft")
    ended = benchbd("sweep", "tiny.yaml", *words, cwd=tmp_path)
    assert ended.returncode == 1
    assert "clean_images = 1, badnet, ft, seed 0: failed, " in ended.stderr
    assert "a clean budget of" in ended.stderr
