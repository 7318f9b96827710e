"""Hyper-parameters: declared once, checked, printed, typed, stored."""

from __future__ import annotations

import argparse
import json
from abc import ABC, abstractmethod
from pathlib import Path, PosixPath
from typing import Any, Literal

import pytest
import yaml
from pydantic import ValidationError

from benchbd.errors import ApiTooNew, ConfigError, ContractBroken
from benchbd.plugin.declared import limits, param, type_name
from benchbd.plugin.plugin import Plugin


class Probe(Plugin):
    api = 1
    kind = "attack"
    name = "probe"

    rate: float = param(0.5, "a share", ge=0, le=1)
    steps: int = param(3, "how often", ge=1)
    mode: Literal["up", "down"] = param("up", "the direction")
    label: str = param("x", "a text")
    mirror: bool = param(False, "whether to mirror, 50 % of the time")
    most: int | None = param(None, "a bound; unset: none", gt=0)
    sizes: tuple[int, ...] = param((1, 2), "some sizes")
    file: Path | None = param(None, "a file")


def refusal(**parameters: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        Probe(**parameters)
    return str(caught.value)


def test_defaults() -> None:
    probe = Probe()
    assert (probe.rate, probe.steps, probe.mode, probe.mirror, probe.most, probe.sizes) == (
        0.5,
        3,
        "up",
        False,
        None,
        (1, 2),
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"rate": -0.1}, "rate (a share) to be a float >= 0, <= 1, got -0.1"),
        ({"rate": 1.5}, "got 1.5"),
        ({"steps": 0}, "steps (how often) to be an int >= 1, got 0"),
        ({"steps": 2.5}, "got 2.5"),
        ({"most": 0}, "to be an int or none > 0, got 0"),
        ({"mode": "left"}, 'mode (the direction) to be an up|down, got "left"'),
        ({"sizes": [1, "b"]}, "to be a list of int"),
        ({"rate": float("nan")}, "got NaN"),
    ],
)
def test_out_of_range(given: dict[str, Any], expected: str) -> None:
    message = refusal(**given)
    assert message.startswith("probe: expected ")
    assert expected in message


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), "inf"])
def test_infinity_is_no_parameter(value: Any) -> None:
    class Open(Plugin):
        api = 1
        rate: float = param(1.0, "a rate without a range")

    with pytest.raises(ConfigError, match="to be a float"):
        Open(rate=value)


def test_unknown_name_with_the_nearest() -> None:
    message = refusal(step=3)
    assert (
        message
        == "probe has no parameter 'step'; did you mean 'steps'? `benchbd info probe` shows all"
    )
    assert refusal(zzz=1) == "probe has no parameter 'zzz'; `benchbd info probe` shows all"


@pytest.mark.parametrize("name", ["rate", "steps", "label", "mode", "most"])
def test_yaml_no_is_neither_a_number_nor_a_text(name: str) -> None:
    message = refusal(**yaml.safe_load(f"{name}: no"))
    assert f"expected {name} (" in message
    assert "got False; quote it if it is a text" in message


def test_yaml_no_is_a_truth_value() -> None:
    assert Probe(**yaml.safe_load("mirror: no")).mirror is False
    assert Probe(**yaml.safe_load("mirror: yes")).mirror is True


def test_yaml_reads_1e_3_as_a_text_and_it_is_a_float_all_the_same() -> None:
    given = yaml.safe_load("rate: 1e-3")
    assert given == {"rate": "1e-3"}
    assert Probe(**given).rate == 0.001


def test_whole_numbers_become_floats_and_the_other_way_round() -> None:
    assert type(Probe(rate=1).rate) is float
    assert type(Probe.model_validate({"steps": 4.0}).steps) is int


def test_integers_and_floats_give_the_same_parameters() -> None:
    assert json.dumps(Probe.model_validate({"rate": 1, "steps": 4.0}).params) == json.dumps(
        Probe(rate=1.0, steps=4).params
    )


def test_a_bad_default_is_refused_too() -> None:
    class Bad(Plugin):
        api = 1
        share: float = param(2.0, "a share", le=1)

    with pytest.raises(ConfigError, match="share"):
        Bad()


CHANGED = Probe(
    rate=0.25,
    steps=7,
    mode="down",
    label="it's",
    mirror=True,
    most=9,
    sizes=(3,),
    file=Path("a b/c"),
)


@pytest.mark.parametrize("probe", [Probe(), CHANGED])
def test_repr_rebuilds(probe: Probe) -> None:
    assert eval(repr(probe), {"Probe": Probe, "PosixPath": PosixPath}) == probe


@pytest.mark.parametrize("probe", [Probe(), CHANGED])
def test_params_survive_json(probe: Probe) -> None:
    assert Probe(**json.loads(json.dumps(probe.params, allow_nan=False))) == probe


@pytest.mark.parametrize("probe", [Probe(), CHANGED])
def test_params_survive_yaml(probe: Probe) -> None:
    assert Probe(**yaml.safe_load(yaml.safe_dump(probe.params))) == probe


class Grown(Plugin):
    api = 1
    name = "grown"
    later = ("where", "speed")

    size: int = param(3, "there from the beginning")
    where: Path | None = param(None, "added later")
    speed: float = param(0.5, "added later")


def test_a_parameter_that_came_later_is_recorded_where_it_is_set() -> None:
    """What was stored before it came has the parameters, and so the key, of today's default."""
    assert Grown().params == Grown(speed=0.5).params == {"size": 3}
    told = Grown(size=4, speed=2).params
    assert told == {"size": 4, "speed": 2.0} and Grown(**told) == Grown(size=4, speed=2)
    assert Grown(size=4).all_params == {"size": 4, "where": None, "speed": 0.5}
    assert Grown.default_params() == Grown().all_params


def test_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Probe().rate = 0.1


def test_text_from_a_person() -> None:
    probe = Probe.from_text(
        rate="2e-1", steps="4", most="none", sizes="[5, 6]", mirror="false", file="x.png"
    )
    assert probe == Probe(
        rate=0.2, steps=4, most=None, sizes=(5, 6), mirror=False, file=Path("x.png")
    )


def test_text_that_is_not_a_list_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sizes=\[5, 6 is not YAML"):
        Probe.from_text(sizes="[5, 6")
    with pytest.raises(ConfigError, match="did you mean 'sizes'"):
        Probe.from_text(size="[5]")


def test_a_text_that_reads_none_stays_a_text_where_nothing_can_be_unset() -> None:
    assert Probe.from_text(label="none").label == "none"


def namespace(*words: str) -> Any:
    return Probe.add_arguments(argparse.ArgumentParser()).parse_args(words)


def probe_of(given: argparse.Namespace, **parameters: Any) -> Probe:
    return Probe(given, **parameters)  # type: ignore[call-arg, arg-type]


def test_arguments_give_the_defaults() -> None:
    assert probe_of(namespace()) == Probe()


def test_arguments_round_trip() -> None:
    numbers = (
        "--rate",
        "0.25",
        "--steps",
        "7",
        "--most",
        "9",
        "--sizes",
        "[3]",
        "--mirror",
        "true",
    )
    assert (
        probe_of(namespace(*numbers, "--mode", "down", "--label", "it's", "--file", "a b/c"))
        == CHANGED
    )


def test_a_default_outside_of_its_own_range() -> None:
    class Careless(Plugin):
        factor: float = param(5.0, "a factor", ge=0, le=2)

    said = (
        r"test_plugin: the default of `factor`, 5\.0, is outside of its own range >= 0, <= 2; "
        r"change one of them"
    )
    with pytest.raises(ConfigError, match=said):
        Careless()
    with pytest.raises(
        ConfigError, match=r"expected factor \(a factor\) to be a float >= 0, <= 2, got 7\.0"
    ):
        Careless(factor=7.0)


def test_keywords_win_over_a_namespace_and_strangers_in_it_are_left_alone() -> None:
    given = namespace("--steps", "7")
    given.result_file = "somewhere"
    assert probe_of(given, steps=8) == Probe(steps=8)


def test_arguments_with_dashes() -> None:
    class Dashed(Plugin):
        api = 1
        poison_share: float = param(0.1, "a share")

    parser = Dashed.add_arguments(argparse.ArgumentParser())
    assert (
        parser.parse_args(["--poison-share", "0.3"]).poison_share
        == parser.parse_args(["--poison_share", "0.3"]).poison_share
    )


def test_help_shows_the_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        namespace("--help")
    assert "50 % of the time" in capsys.readouterr().out


def test_a_wrong_argument_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"rate \(a share\)"):
        probe_of(namespace("--rate", "much"))


@pytest.mark.parametrize(
    ("name", "words", "span"),
    [
        ("rate", "float", ">= 0, <= 1"),
        ("most", "int or none", "> 0"),
        ("mode", "up|down", ""),
        ("sizes", "list of int", ""),
        ("file", "Path or none", ""),
    ],
)
def test_declaration_in_words(name: str, words: str, span: str) -> None:
    field = Probe.model_fields[name]
    assert (type_name(field.annotation), limits(field)) == (words, span)


def test_the_name_is_that_of_the_module_unless_stated() -> None:
    class Unnamed(Plugin):
        api = 1

    assert Unnamed.name == "test_plugin"
    assert Probe.name == "probe"


class Inherits(Probe):
    name = "inherits"


class TooNew(Plugin):
    api = 99
    name = "too_new"


class TooOld(Plugin):
    api = -1
    name = "too_old"


class Verb(Plugin, ABC):
    @abstractmethod
    def act(self) -> None: ...


class WithoutVerb(Verb):
    api = 1
    name = "without_verb"


def test_contract_kept() -> None:
    Probe.require_contract()


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Inherits, "expected `api = 1` in the class body, found none; add that line"),
        (TooNew, "is written for api 99, this benchbd speaks 0 and 1; upgrade benchbd"),
        (TooOld, "is written for api -1, this benchbd speaks 0 and 1; upgrade the plugin"),
        (WithoutVerb, "does not write act"),
    ],
)
def test_contract_broken(cls: type[Plugin], message: str) -> None:
    with pytest.raises(ContractBroken, match=message) as caught:
        cls.require_contract()
    assert isinstance(caught.value, ApiTooNew) == (cls is TooNew)
    assert repr(cls.name) in str(caught.value)
