"""Options that are declared once: what a file may say, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from benchbd.arguments import (
    Options,
    PluginName,
    PluginNames,
    SeedNumbers,
    Settings,
    Words,
    document_options,
)
from benchbd.errors import ConfigError
from benchbd.plugin.declared import param


class Baking(Options):
    """The options of a command that bakes."""

    command: ClassVar[str] = "bake"

    oven: PluginName | None = param(None, "where to bake")
    cakes: PluginNames = param(("plain",), "what to bake", alias="cake")
    seeds: SeedNumbers = param((0,), "numbers to start from", alias="seed")
    again: Words = param((), "what to do again")
    settings: Settings = param({}, "what else there is to know", alias="set")
    hours: float | None = param(None, "how long it may take", gt=0, strict=True)
    heat: Literal["top", "fan"] = param("fan", "from where the heat comes")


def read(tmp_path: Path, text: str) -> Baking:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return Baking.from_file(path)


def test_a_file_speaks_the_words_of_the_command_line(tmp_path: Path) -> None:
    told = read(tmp_path, "cake: [nut, plum]\nseed: 3\nset: {dough: {fat: 2}, sugar.brown: 1}\n")
    assert told.given() == {
        "cakes": ("nut", "plum"),
        "seeds": (3,),
        "settings": {"dough.fat": 2, "sugar.brown": 1},
    }


def test_one_stands_for_a_list_of_one_and_words_are_cut_at_commas() -> None:
    told = Baking(cakes="nut", seeds=range(2), again="burnt,raw")
    assert (told.cakes, told.seeds, told.again) == (("nut",), (0, 1), ("burnt", "raw"))
    assert Baking().given() == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cakke: nut", r"mine.yaml: bake has no option 'cakke'; did you mean 'cake'\?"),
        ("oven: no", "mine.yaml: bake: .*oven .*quote it if it is a text"),
        ("cake: no", "mine.yaml: bake: .*quote it if it is a text"),
        ("cake: [3]", "mine.yaml: bake: cakes: expected the name of a plugin, .*got .3.; save"),
        ("seed: -1", "mine.yaml: bake: seeds: expected a seed from 0 to 4294967295, got -1"),
        ("seed: [0, 1.5]", "expected a seed from 0 to 4294967295, got 1.5"),
        ("hours: 0", "expected hours .how long it may take. to be a float or none > 0, got 0"),
        ("hours: '3'", 'to be a float or none > 0, got "3"'),
        ("heat: below", 'expected heat .* to be a top|fan, got "below"'),
    ],
)
def test_slips_are_named_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


def test_a_function_tells_its_options() -> None:
    @document_options(Baking)
    def bake(**options: Any) -> None:
        """Bake some cakes.

        Returns nothing.
        """

    summary, options, rest = (bake.__doc__ or "").split("\n\n")
    assert (summary, rest) == ("Bake some cakes.", "Returns nothing.")
    assert "cakes: what to bake." in options.splitlines()
    assert "hours: how long it may take (> 0)." in options.splitlines()
