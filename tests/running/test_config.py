"""The file of options: names of the command line in YAML, slips named with their place."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchbd.running.config import read_config

from benchbd.errors import ConfigError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "options.yaml"


def test_options_and_settings(path: Path) -> None:
    path.write_text(
        "attack: badnet\ndefense: [ft, anp]\nseed: 3\nset:\n  defense: {anp_eps: 0.2}\n"
        "  recipe: {epochs: 1}\n"
    )
    assert read_config(path) == {
        "attack": "badnet",
        "defenses": ("ft", "anp"),
        "seed": 3,
        "settings": {"defense.anp_eps": 0.2, "recipe.epochs": 1},
    }


def test_one_defense_is_a_list_of_one(path: Path) -> None:
    path.write_text("defense: ft\n")
    assert read_config(path)["defenses"] == ("ft",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("atack: badnet", r"atack: .*did you mean 'attack'"),
        ("seed: -1", r"seed: .*greater than or equal to 0, got -1"),
        ("seed: first", r"seed: .*got 'first'"),
        ("set: {defense: 3}", r"set\.defense: .*got 3"),
    ],
)
def test_slips_are_named(path: Path, text: str, words: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"options\.yaml: {words}"):
        read_config(path)
