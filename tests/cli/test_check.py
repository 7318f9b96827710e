"""`benchbd check`: a kind and a name, a file, a distribution."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchbd.cli.check import command
from benchbd.errors import PluginNotFound
from benchbd.testing.runner import CHECKS

MUTANTS = Path(__file__).parents[1] / "testing" / "mutants"


@pytest.fixture(autouse=True)
def without_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks that start a process have their own tests."""
    kept = [check for check in CHECKS if not check.apart]
    monkeypatch.setattr("benchbd.testing.runner.CHECKS", kept)


def checked(*words: str) -> Result:
    return CliRunner().invoke(command, words, catch_exceptions=False)


@pytest.mark.parametrize("target", ["defense.ft", "ft", "benchbd/ft"])
def test_a_bundled_plugin(target: str) -> None:
    done = checked(target, "--level", "api")
    assert (done.exit_code, done.output.split(" in ")[0]) == (0, "defense.ft: 9 passed")


@pytest.mark.slow
def test_a_file_with_a_fault() -> None:
    done = checked(str(MUTANTS / "training_mode.py"))
    assert done.exit_code == 3
    assert (
        "failed returns_a_model_in_eval_mode: it returned a model in training mode; return "
        "`model.eval()`" in done.output
    )


@pytest.mark.parametrize(
    ("mutant", "failure"),
    [
        (
            "api_absent",
            "failed contract_is_kept: defense 'api_absent': expected `api = 1` in the class body",
        ),
        (
            "default_out_of_range",
            "failed defaults_construct: default_out_of_range: the default of `factor`, 1.5, is "
            "outside",
        ),
    ],
)
def test_a_plugin_that_cannot_be_used_is_told_so_once(mutant: str, failure: str) -> None:
    done = checked(str(MUTANTS / f"{mutant}.py"))
    headline, told, rest = done.output.splitlines()
    assert done.exit_code == 3 and headline.startswith(f"{mutant}.py:Mutant: 1 failed in ")
    assert told.strip().startswith(failure)
    assert rest.strip().endswith("other rules were not tried") and int(rest.split()[0]) > 10


@pytest.mark.slow
def test_a_file_that_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import benchbd_nonsuch\n")
    done = checked(str(tmp_path / "mine.py"))
    assert (
        done.exit_code == 3
        and "No module named 'benchbd_nonsuch' (-v shows the traceback)" in done.output
    )
    assert done.output.splitlines()[-1].strip() == "the other rules were not tried"
    assert (
        "import benchbd_nonsuch\nModuleNotFoundError"
        in checked(str(tmp_path / "mine.py"), "-v").output
    )


@pytest.mark.slow
def test_failures_come_first() -> None:
    done = checked(str(MUTANTS / "verb_crashes.py"), "-v")
    found = [
        line.split()[0]
        for line in done.output.splitlines()
        if line.split()[:1] and line.startswith("  ")
    ]
    listed = [word for word in found if word in ("failed", "skipped", "passed")]
    assert (
        listed == sorted(listed, key=["failed", "skipped", "passed"].index)
        and listed[0] == "failed"
    )
    brief = checked(str(MUTANTS / "verb_crashes.py")).output.splitlines()
    assert brief[1] == "  failed runs: it raised ZeroDivisionError: always (-v shows the traceback)"


def test_json() -> None:
    done = checked(f"{MUTANTS / 'repr_abridged.py'}:Mutant", "--level", "api", "--json")
    results = {result["check"]: result["status"] for result in json.loads(done.output)}
    assert (results["repr_rebuilds"], results["defaults_construct"], done.exit_code) == (
        "failed",
        "passed",
        3,
    )


@pytest.mark.slow
def test_a_distribution() -> None:
    done = checked("benchbd", "--level", "api", "--json")
    names = {result["plugin"] for result in json.loads(done.output)}
    assert {"badnet", "anp", "digits", "local", "resnet_small"} <= names


def test_an_unknown_target() -> None:
    with pytest.raises(
        PluginNotFound,
        match=r"no plugin, file or distribution named 'defense.anpp'; did you mean 'defense.anp'",
    ):
        checked("defense.anpp")


def test_parameters() -> None:
    done = checked("defense.ft", "--set", "epochs=1", "--level", "api")
    assert done.exit_code == 0
