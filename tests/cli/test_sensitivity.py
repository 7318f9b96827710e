"""`benchbd sensitivity`: the attack it takes unless one is named, and its table and picture."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from benchbd.cli import sensitivity
from benchbd.errors import ConfigError
from benchbd.running.protocol import parse_protocol

TINY = {
    "name": "tiny",
    "dataset": "digits",
    "model": "resnet_small",
    "seeds": [0],
    "defenses": ["none"],
}


def test_the_first_attack_that_poisons_is_met() -> None:
    protocol = parse_protocol(TINY | {"attacks": ["clean", "sig", "badnet"]}, "a test")
    assert sensitivity._first_attack(protocol) == "sig"


def test_where_none_poisons_one_is_to_be_named() -> None:
    protocol = parse_protocol(TINY | {"attacks": ["clean"]}, "a test")
    with pytest.raises(
        ConfigError, match="tiny has no attack that poisons; name one with --attack"
    ):
        sensitivity._first_attack(protocol)


def studied(name: str, own: Any, *values: Any, score: float) -> Any:
    points = [SimpleNamespace(value=value, acc=0.9, asr=0.5, measured=2) for value in values]
    return SimpleNamespace(parameter=name, own=own, points=points, score=score)


def test_every_value_has_its_row_and_there_is_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [studied("epochs", 2, 1, 2, 4, score=0.125), studied("rate", 0.1, 0.1, 0.2, score=0)]
    sensitivity._show("./my.py", "badnet", found, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split("│")[1:-1] for line in lines if line.startswith("│")]
    assert [[cell.strip() for cell in row[:3]] for row in rows] == [
        ["epochs", "12.5", "1"],
        ["", "", "2 (own)"],
        ["", "", "4"],
        ["rate", "0.0", "0.1 (own)"],
        ["", "", "0.2"],
    ]
    assert lines[-1] == f"written: {tmp_path / 'my.png'}"
    assert (tmp_path / "my.png").is_file()


def test_the_help_names_every_option_with_its_default() -> None:
    text = " ".join(CliRunner().invoke(sensitivity.command, ["--help"]).output.split())
    for part in (
        "defense.NAME",
        "--attack TEXT",
        "default: the protocol's first that poisons",
        "[default: digits-quick]",
        "may be given several times. [default: 0]",
        "[default: local]",
        "[default: sensitivity]",
        "--json",
    ):
        assert part in text


@pytest.mark.parametrize("seed", ["x", "-1", str(2**32)])
def test_what_is_no_seed_is_refused_before_anything_runs(seed: str) -> None:
    refused = CliRunner().invoke(sensitivity.command, ["defense.some", "--seed", seed])
    assert refused.exit_code == 2
    assert "Invalid value for '--seed'" in refused.output
