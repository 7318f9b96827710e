"""Options of the command line as they are declared: their spelling, type, range and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import click
import pytest
from click.testing import CliRunner, Result

from benchbd.arguments import Notation, Options, PluginNames, Settings, Words
from benchbd.cli.declared import add_options, given_options
from benchbd.plugin.declared import param


class Baking(Options):
    """The options of a command that bakes."""

    command: ClassVar[str] = "bake"

    cake: str = param(..., "what to bake")
    oven: Path | None = param(None, "where to bake")
    heat: Literal["top", "fan"] = param("fan", "from where the heat comes")
    hours: float | None = param(None, "how long it may take", gt=0)
    trays: int = param(1, "how many at a time", ge=1, le=4)
    again: Words = param((), "what to do again")
    fruits: PluginNames | None = param(None, "what goes in", alias="fruit")
    keep_warm: bool = param(False, "let it stay in the oven")
    settings: Annotated[Settings, Notation("PART=VALUE")] = param({}, "what else", alias="set")


@pytest.fixture
def told() -> dict[str, Any]:
    """What the command was called with."""
    return {}


@pytest.fixture
def bake(told: dict[str, Any]) -> Any:
    @click.command()
    @add_options(Baking)
    def command(**values: Any) -> None:
        told.update(given_options(values))

    def run(*words: str) -> Result:
        return CliRunner().invoke(command, words)

    return run


def test_what_is_not_given_is_not_told(bake: Any, told: dict[str, Any]) -> None:
    assert bake("plain").exit_code == 0
    assert told == {"cake": "plain"}


def test_what_may_be_several_or_unset_is_given_several_times(
    bake: Any, told: dict[str, Any]
) -> None:
    assert bake("plain", "--fruit", "plum", "--fruit", "fig").exit_code == 0
    assert told == {"cake": "plain", "fruits": ("plum", "fig")}


def test_values_come_in_their_types(bake: Any, told: dict[str, Any]) -> None:
    words = ["--oven", "o", "--hours", "1.5", "--trays", "2", "--heat", "top", "--keep-warm"]
    assert bake("plain", *words, "--again", "a", "--again", "b", "--set", "x=1").exit_code == 0
    assert told == {
        "cake": "plain",
        "oven": Path("o"),
        "hours": 1.5,
        "trays": 2,
        "heat": "top",
        "keep_warm": True,
        "again": ("a", "b"),
        "settings": {"x": "1"},
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Missing argument 'CAKE'"),
        (("plain", "--trays", "5"), "5 is not in the range 1<=x<=4"),
        (("plain", "--hours", "0"), "0.0 is not in the range x>0"),
        (("plain", "--heat", "coal"), "'coal' is not one of 'top', 'fan'"),
        (("plain", "--oven", "a", "--oven", "b"), "expected one value, got a, b"),
    ],
)
def test_slips_are_refused(bake: Any, words: tuple[str, ...], message: str) -> None:
    done = bake(*words)
    assert done.exit_code == 2 and message in done.output


def test_the_help_says_meaning_default_and_form(bake: Any) -> None:
    lines = " ".join(bake("--help").output.split())
    assert "--trays INTEGER RANGE How many at a time. [default: 1]" in lines
    assert "--keep-warm Let it stay in the oven." in lines
    assert "--set PART=VALUE What else; may be given several times." in lines
