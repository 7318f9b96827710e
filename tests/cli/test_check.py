"""`benchbd check`: a kind and a name, a file, a distribution."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchbd.cli.check import command
from benchbd.errors import PluginNotFound
from benchbd.testing.check import CHECKS

MUTANTS = Path(__file__).parents[1] / "testing" / "mutants"


@pytest.fixture(autouse=True)
def without_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks that start a process have their own tests."""
    kept = [check for check in CHECKS if not check.name.startswith("import_")]
    monkeypatch.setattr("benchbd.testing.runner.CHECKS", kept)


def checked(*words: str) -> Result:
    return CliRunner().invoke(command, words, catch_exceptions=False)


@pytest.mark.parametrize("target", ["defense.ft", "ft", "benchbd/ft"])
def test_a_bundled_plugin(target: str) -> None:
    done = checked(target, "--level", "api")
    assert (done.exit_code, done.output.split(" in ")[0]) == (0, "defense.ft: 9 passed")


def test_a_file_with_a_fault() -> None:
    done = checked(str(MUTANTS / "training_mode.py"))
    assert done.exit_code == 3
    assert "failed returns_a_model_in_eval_mode: it returned a model in training mode; return `model.eval()`" in done.output


def test_json() -> None:
    done = checked(f"{MUTANTS / 'repr_abridged.py'}:Mutant", "--level", "api", "--json")
    results = {result["check"]: result["status"] for result in json.loads(done.output)}
    assert (results["repr_rebuilds"], results["defaults_construct"], done.exit_code) == ("failed", "passed", 3)


def test_a_distribution() -> None:
    done = checked("benchbd", "--level", "api", "--json")
    names = {result["plugin"] for result in json.loads(done.output)}
    assert {"badnet", "anp", "digits", "local", "resnet_small"} <= names


def test_an_unknown_target() -> None:
    with pytest.raises(PluginNotFound, match=r"no plugin, file or distribution named 'defense.anq'; did you mean 'defense.anp'"):
        checked("defense.anq")


def test_parameters() -> None:
    done = checked("defense.ft", "--set", "epochs=1", "--level", "api")
    assert done.exit_code == 0
