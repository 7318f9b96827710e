"""Options of a run: names from Python and from files, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchbd.errors import ConfigError
from benchbd.running.options import PROTOCOL, RunOptions


def test_what_is_not_given_comes_from_the_protocol() -> None:
    options = RunOptions()
    assert (options.attack, options.defense, options.protocol) == (None, ("none",), PROTOCOL)
    assert options.given() == {}


def test_a_file_of_options_is_read(tmp_path: Path) -> None:
    path = tmp_path / "options.yaml"
    path.write_text("attack: badnet\ndefense: [ft, anp]\nset:\n  defense: {anp_eps: 0.2}\n")
    options = RunOptions.from_file(path)
    assert (options.attack, options.defense) == ("badnet", ("ft", "anp"))
    assert options.settings == {"defense.anp_eps": 0.2}


@pytest.mark.parametrize(
    ("text", "words"),
    [("atack: badnet", "did you mean 'attack'"), ("seed: -1", "expected a seed from 0")],
)
def test_slips_in_a_file_are_named_with_it(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "options.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"options\.yaml: .*{words}"):
        RunOptions.from_file(path)


@pytest.mark.parametrize("given", [{"attack": ["badnet", "sig"]}, {"seed": True}, {"seed": 1.5}])
def test_one_is_not_several(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        RunOptions(**given)
