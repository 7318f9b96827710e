"""The options of a run: as a file gives them, in the words of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchbd.errors import ConfigError
from benchbd.running.options import DEFAULT_PROTOCOL, RunOptions


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "options.yaml"


def test_options_and_settings(path: Path) -> None:
    path.write_text(
        "attack: badnet\ndefense: [ft, anp]\nseed: 3\nset:\n  defense: {anp_eps: 0.2}\n"
        "  recipe: {epochs: 1}\n"
    )
    assert RunOptions.from_file(path).given() == {
        "attack": ("badnet",),
        "defense": ("ft", "anp"),
        "seed": (3,),
        "settings": {"defense.anp_eps": 0.2, "recipe.epochs": 1},
    }


def test_several_attacks_and_seeds(path: Path) -> None:
    path.write_text("attack: [badnet, sig]\nseed: [0, 4]\nthreads: 2\nrerun: defense\n")
    told = RunOptions.from_file(path)
    assert (told.attack, told.seed, told.threads) == (("badnet", "sig"), (0, 4), 2)
    assert (told.rerun, told.defense) == ("defense", ("none",))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("atack: badnet", r"run has no option 'atack'; did you mean 'attack'"),
        ("seed: -1", r"seed: expected a seed from 0 to 4294967295, got -1"),
        ("seed: first", r"seed: .*got 'first'"),
        ("attack: [3]", r"attack: expected the name of a plugin.*got \[3\]"),
        ("set: 3", r"expected settings .* to be a table, got 3"),
        ("threads: 0", r"expected threads .*>= 1, got 0"),
        ("rerun: all", r'expected rerun .* to be an? attack\|defense or none, got "all"'),
    ],
)
def test_slips_are_named(path: Path, text: str, words: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"options\.yaml: .*{words}"):
        RunOptions.from_file(path)


def test_what_is_not_given_comes_from_the_protocol() -> None:
    options = RunOptions()
    assert (options.attack, options.defense, options.protocol) == (
        None,
        ("none",),
        DEFAULT_PROTOCOL,
    )
    assert options.given() == {}


@pytest.mark.parametrize("given", [{"model": ["badnet", "sig"]}, {"seed": True}, {"seed": 1.5}])
def test_what_is_neither_one_nor_several_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        RunOptions(**given)
