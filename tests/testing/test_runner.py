"""Results of checks: structured, with what the caller expects to fail, strict."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.errors import ConfigError
from benchbd.plugin.loose import classes_in
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.registry import load
from benchbd.testing import check_plugin, failures
from benchbd.testing.check import CHECKS
from benchbd.testing.result import LEVELS
from benchbd.testing.runner import checks_for
from benchbd.testing.subject import Subject, quick

pytest_plugins = ["pytester"]
MUTANTS = Path(__file__).parent / "mutants"


def mutant(name: str) -> type[Plugin]:
    return classes_in(MUTANTS / f"{name}.py")[0]


def statuses(name: str, **options: object) -> dict[str, str]:
    return {
        result.check: result.status for result in check_plugin(mutant(name), "smoke", **options)
    }  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def without_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks that start a process have their own tests."""
    kept = [check for check in CHECKS if not check.apart]
    monkeypatch.setattr("benchbd.testing.runner.CHECKS", kept)


def test_levels_grow() -> None:
    sizes = [len(checks_for(load("defense", "ft"), level)) for level in LEVELS]
    assert sizes == sorted(set(sizes))


def test_a_verb_that_raises_is_one_failure_and_no_crash() -> None:
    found = statuses("verb_crashes")
    assert [name for name, status in found.items() if status == "failed"] == ["runs"]
    assert found["rerun_is_identical"] == found["sees_no_oracle"] == "skipped"


def test_a_plugin_that_applies_nowhere_is_one_failure() -> None:
    results = check_plugin(mutant("applies_nowhere"), "smoke")
    (failed,) = failures(results)
    assert failed.message == (
        "it applies to none of the architectures and shapes tried here, so nothing of it was "
        "checked: the network is none of mine"
    )
    assert {
        result.status
        for result in results
        if result.check in ("rerun_is_identical", "sees_no_oracle")
    } == {"n/a"}


def test_a_plugin_is_tried_where_it_applies() -> None:
    subject = Subject(mutant("transformers_only"))
    assert (subject.architecture, subject.trial.changed) == (
        "transformer",
        ("the clean training images",),
    )


def test_no_processor_changes_how_a_verb_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchbd.engine.hardware.has_bf16", lambda device: True)
    found = statuses("wants_fp32")
    assert found["runs"] == found["sees_no_oracle"] == found["stops_when_told"] == "passed"


def test_a_plugin_that_cannot_be_built_is_no_crash() -> None:
    found = statuses("default_out_of_range")
    assert [name for name, status in found.items() if status == "failed"] == ["defaults_construct"]


def test_a_result_says_what_and_why() -> None:
    (result,) = failures(check_plugin(mutant("training_mode"), "smoke"))[:1]
    assert result.to_json().keys() == {
        "plugin",
        "check",
        "rule",
        "status",
        "message",
        "seconds",
        "traceback",
    }
    assert (result.plugin, result.rule) == (
        "training_mode",
        "What comes back is a model, in eval mode.",
    )
    assert result.message == "it returned a model in training mode; return `model.eval()`"


def test_an_expected_failure_is_no_failure() -> None:
    found = statuses(
        "inputs_changed", expected_failures={"inputs_stay": "the paper works in place"}
    )
    assert (found["inputs_stay"], "failed" in found.values()) == ("expected", False)


def test_an_expected_failure_that_passes_is_one() -> None:
    results = check_plugin(
        mutant("keeps_all_rules"), "smoke", expected_failures={"inputs_stay": "no reason"}
    )
    assert [(r.check, r.message) for r in failures(results)] == [
        ("inputs_stay", "it was expected to fail (no reason) and passed; take it off the list")
    ]


def test_an_unknown_check_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="no check named 'input_stays'; did you mean 'inputs_stay'"
    ):
        check_plugin(mutant("keeps_all_rules"), expected_failures={"input_stays": "x"})


def test_quick_parameters_are_within_their_ranges() -> None:
    assert quick(load("defense", "anp")) == {"nb_iter": 3}
    assert quick(load("defense", "ft")) == {"epochs": 3}


CONTRACT = """
import pytest
from benchbd.plugin.loose import classes_in
from benchbd.testing import parametrize_with_checks
from pathlib import Path

FOLDER = Path({folder!r})

@parametrize_with_checks(classes_in(FOLDER / "{name}.py"), expected_failures={expected!r})
def test_contract(check):
    check()
"""


@pytest.mark.parametrize(
    ("name", "expected", "outcome"),
    [
        ("keeps_all_rules", {}, {"failed": 0, "xfailed": 0}),
        ("training_mode", {}, {"failed": 1, "xfailed": 0}),
        ("training_mode", {"returns_a_model_in_eval_mode": "wanted"}, {"failed": 0, "xfailed": 1}),
        ("keeps_all_rules", {"inputs_stay": "a wrong reason"}, {"failed": 1, "xfailed": 0}),
    ],
)
def test_as_pytest_tests(
    pytester: pytest.Pytester, name: str, expected: dict[str, str], outcome: dict[str, int]
) -> None:
    pytester.makepyfile(CONTRACT.format(folder=str(MUTANTS), name=name, expected=expected))
    done = pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", "--benchbd-level", "smoke", "-k", "not import_ and not three_arch"
    )
    counts = done.parseoutcomes()
    assert {key: counts.get(key, 0) for key in outcome} == outcome
    assert counts["passed"] > 10


def test_the_level_is_an_option(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CONTRACT.format(folder=str(MUTANTS), name="verb_crashes", expected={}))
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--benchbd-level", "api")
    assert done.parseoutcomes() == {"passed": 8, "skipped": 1}
