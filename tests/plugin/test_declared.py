"""Values that are declared once: checked when they are built, and told of in words."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge

from benchbd.errors import ConfigError
from benchbd.plugin.declared import Configurable, allows, limits, param, spellings, type_name


class Cake(Configurable):
    """What a cake can be."""

    eggs: int = param(3, "how many", ge=0, le=12)
    name: str = param("plain", "what it is called", alias="called")
    heat: Literal["top", "fan"] = param("fan", "from where")
    layers: tuple[str, ...] = param((), "one above the other")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"eggs": 13}, r"Cake: expected eggs \(how many\) to be an int >= 0, <= 12, got 13"),
        ({"eggs": "many"}, r"to be an int >= 0, <= 12, got \"many\""),
        ({"egs": 1}, r"Cake has no value 'egs'; did you mean 'eggs'"),
        ({"called": False}, r"expected name \(what it is called\) to be a str, got False; quote"),
        ({"heat": "coal"}, r"expected heat \(from where\) to be a top\|fan, got \"coal\""),
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Cake(**values)


def test_a_default_outside_of_its_range_is_a_slip_of_its_author() -> None:
    class Odd(Configurable):
        share: float = param(2.0, "of all", le=1)

    with pytest.raises(ConfigError, match=r"the default of `share`, 2\.0, is outside of its own r"):
        Odd()


def test_spellings_are_what_a_person_writes() -> None:
    assert spellings(Cake) == ["eggs", "called", "heat", "layers"]
    assert Cake.declared_name("called") == "name" and Cake.declared_name("eggs") == "eggs"


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "int"),
        (float | None, "float or none"),
        (Literal["a", "b"], "a|b"),
        (tuple[int, ...], "list of int"),
        (list[str], "list of str"),
        (dict[str, int], "table"),
        (Annotated[int, Ge(0)], "int"),
    ],
)
def test_types_are_told_as_a_person_writes_them(annotation: Any, words: str) -> None:
    assert type_name(annotation) == words


def test_a_range_is_told_in_words() -> None:
    fields = Cake.model_fields
    assert [limits(fields[name]) for name in ("eggs", "name")] == [">= 0, <= 12", ""]
    assert allows(fields["eggs"], int) and not allows(fields["eggs"], bool)
