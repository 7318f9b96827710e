"""Manifests: one identity of an attacked model, read in the form of today and in that of before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchbd.errors import RecordError
from benchbd.record.attack_files import MANIFEST_FILE
from benchbd.record.attack_result import AttackResult
from benchbd.record.cell import Cell
from benchbd.record.manifest import Manifest
from benchbd.record.plugin_record import PluginRecord

BOARD = Path(__file__).parents[2] / "leaderboard" / "results"
MOST_DIGITS = 12
"""Digits of a key in the name of a result."""


def test_the_json_beside_a_result_is_the_manifest_in_it(stored: AttackResult) -> None:
    content = json.loads((stored.folder / MANIFEST_FILE).read_text())
    read = Manifest.read(content, "a test")
    assert read.model_copy(update={"sha256": ""}) == stored.manifest
    assert read.to_json() == content


def test_what_was_called_a_stage_is_the_family(stored: AttackResult) -> None:
    content = stored.manifest.to_json()
    content["stage"] = content.pop("family")
    assert Manifest.read(content, "a test") == stored.manifest


def test_the_key_is_that_of_the_ingredients(stored: AttackResult) -> None:
    made = stored.manifest
    assert made.key == made.attack_key
    assert made.model_copy(update={"seed": made.seed + 1}).attack_key != made.key


def test_a_cell_is_about_the_model_it_starts_from(stored: AttackResult) -> None:
    defense = PluginRecord(name="x", provider="y", version="1", results_version=1, params={})
    about = stored.manifest.coordinates(defense, 0.05)
    assert about.attack_key == stored.key
    keys = {
        about.key("p@1"),
        about.key("p@2"),
        stored.manifest.coordinates(defense, 0.1).key("p@1"),
    }
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"outline": {"num_classes": "many"}}, "outline.num_classes"),
        ({"stranger": 1}, "stranger"),
        ({"seed": None}, "seed"),
    ],
)
def test_a_manifest_of_another_form_is_refused(
    stored: AttackResult, change: dict[str, object], place: str
) -> None:
    with pytest.raises(RecordError, match=f"the manifest of a file is not .*: {place}: "):
        Manifest.read(stored.manifest.to_json() | change, "a file")


@pytest.mark.slow
def test_every_cell_of_the_board_keeps_its_key() -> None:
    """Keys are computed from what a cell says of itself, as they were when it was stored."""
    names = sorted(BOARD.rglob("*.json"))
    assert len(names) > 1500
    for path in names:
        cell = Cell.model_validate_json(path.read_bytes())
        assert cell.key == cell.cell.key(cell.protocol), path
        name = f"{cell.cell.seed}-{cell.key[:MOST_DIGITS]}"
        if path.parent.name == "other_models":  # the reference of weights of another processor
            name += f"-{cell.attacked_model[:MOST_DIGITS]}"
        assert path.stem == name
        assert cell.is_sealed(), path
