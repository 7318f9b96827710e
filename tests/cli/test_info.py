"""`benchbd info` and the words of a person that are nearly right: files, kinds, classes."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from benchbd.cli import info, new
from benchbd.cli.list import command as listing
from benchbd.engine.recipe import Recipe
from benchbd.errors import ConfigError, PluginError, PluginNotFound
from benchbd.plugin.registry import create, load

FILE = '''"""Shrink: the head is multiplied.

    W <- f W
"""
from benchbd.api import Repair, param

class Shrink(Repair):
    """Smaller weights, smaller trust."""

    api = 1
    factor: float = param(0.5, "what the weights are multiplied with", gt=0, le=1)

    def repair(self, model, clean, rng):
        return model.eval()
'''
SECOND = """
class Other(Shrink):
    api = 1
    name = "other"

class Third(Shrink):
    api = 1
    name = "third"
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shrink.py").write_text(FILE)
    (tmp_path / "several.py").write_text(FILE + SECOND)
    return tmp_path


def told(command: click.Command, *words: str) -> str:
    return CliRunner().invoke(command, words, catch_exceptions=False).output


@pytest.mark.parametrize("name", ["./shrink.py", "./shrink.py:Shrink"])
def test_a_plugin_in_a_file(here: Path, name: str) -> None:
    shown = told(info.command, name)
    assert "defense.shrink  repair  Smaller weights, smaller trust" in shown and "W <- f W" in shown
    stated = json.loads(told(info.command, name, "--json"))
    assert (stated["kind"], stated["name"], stated["provider"]) == (
        "defense",
        "shrink",
        "local file",
    )
    assert [row["range"] for row in stated["parameters"] if row["name"] == "factor"] == [
        "> 0, <= 1"
    ]


def test_a_file_with_several() -> None:
    with pytest.raises(
        PluginError,
        match=r"holds several plugins; name the one you mean: several\.py:Other, several\.py:Third",
    ):
        told(info.command, "./several.py")
    assert "defense.several" in told(info.command, "./several.py:Third")


def test_a_class_that_a_file_does_not_hold() -> None:
    held = r"it holds: Other \(defense\), Third \(defense\)"
    for name, guess in (
        ("./several.py:Thirt", r"; did you mean 'Third'\? "),
        ("./several.py:Nope", "; "),
    ):
        with pytest.raises(PluginNotFound, match=guess + held):
            load("defense", name)
        with pytest.raises(PluginNotFound, match=guess + held):
            told(info.command, name)


def test_a_name_that_is_a_file_here() -> None:
    for ask in (lambda: load("defense", "shrink"), lambda: told(info.command, "shrink")):
        with pytest.raises(
            PluginNotFound, match=r"named 'shrink'; did you mean the file \./shrink\.py\?"
        ):
            ask()


def test_a_hint_at_a_file_names_the_file() -> None:
    with pytest.raises(ConfigError, match=r"; `benchbd info \./shrink\.py:Shrink` shows all"):
        create("defense", "./shrink.py", {"zzz": 1})
    with pytest.raises(ConfigError, match=r"; `benchbd info \./several\.py:Other` shows all"):
        create("defense", "./several.py:Other", {"zzz": 1})


def test_an_unknown_name() -> None:
    with pytest.raises(PluginNotFound, match=r"no plugin named 'zzzz'; `benchbd list` shows all"):
        told(info.command, "zzzz")


def test_a_kind_that_is_nearly_one() -> None:
    assert "no kind of plugins named 'defence'; did you mean 'defense'?" in told(listing, "defence")
    assert "no kind of plugins named 'defence'; did you mean 'defense'?" in told(
        new.command, "defence", "mine"
    )
    assert "no kind of plugins named 'zzzz'; there are: attack, defense" in told(
        new.command, "zzzz", "mine"
    )


def test_the_recipe_is_declared_like_a_plugin() -> None:
    """Its name stands in the hint of a slip in `--set recipe.PARAM=VALUE`."""
    with pytest.raises(ConfigError, match="`benchbd info recipe` shows all"):
        Recipe.from_text(epoch="2")
    assert told(info.command, "recipe").startswith("recipe  ")
    stated = json.loads(told(info.command, "recipe", "--json"))
    assert (stated["kind"], [row["name"] for row in stated["parameters"]]) == (
        "recipe",
        list(Recipe.model_fields),
    )
    with pytest.raises(PluginNotFound, match="did you mean 'recipe'"):
        told(info.command, "recipee")


def test_a_narrow_terminal_shows_every_meaning_on_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rich.console.Console.width", 60)
    lines = [line.rstrip() for line in told(info.command, "./shrink.py").splitlines()]
    assert lines[-2:] == [
        "factor  float  0.5  > 0, <= 1",
        "    what the weights are multiplied with",
    ]
