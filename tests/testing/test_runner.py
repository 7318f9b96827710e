"""Checks run one after the other: none is a crash, and what is expected to fail is strict."""

from __future__ import annotations

import pytest

from benchbd.errors import ConfigError
from benchbd.plugin.registry import load
from benchbd.testing import check_plugin, failures
from benchbd.testing.result import CHECK_LEVELS
from benchbd.testing.runner import checks_for
from support.mutants import mutant


def statuses(name: str, **options: object) -> dict[str, str]:
    return {
        result.check: result.status for result in check_plugin(mutant(name), "smoke", **options)
    }  # type: ignore[arg-type]


pytestmark = pytest.mark.usefixtures("no_processes")


def test_levels_grow() -> None:
    sizes = [len(checks_for(load("defense", "ft"), level)) for level in CHECK_LEVELS]
    assert sizes == sorted(set(sizes))


@pytest.mark.slow
def test_a_verb_that_raises_is_one_failure_and_no_crash() -> None:
    found = statuses("verb_crashes")
    assert [name for name, status in found.items() if status == "failed"] == ["runs"]
    assert found["rerun_is_identical"] == found["sees_no_oracle"] == "skipped"


@pytest.mark.slow
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


@pytest.mark.slow
def test_no_processor_changes_how_a_verb_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchbd.engine.hardware.has_bf16", lambda device: True)
    found = statuses("wants_fp32")
    assert found["runs"] == found["sees_no_oracle"] == found["stops_when_told"] == "passed"


def test_a_plugin_that_cannot_be_built_is_no_crash() -> None:
    found = statuses("default_out_of_range")
    assert [name for name, status in found.items() if status == "failed"] == ["defaults_construct"]


@pytest.mark.slow
def test_an_expected_failure_is_no_failure() -> None:
    found = statuses(
        "inputs_changed", expected_failures={"inputs_stay": "the paper works in place"}
    )
    assert (found["inputs_stay"], "failed" in found.values()) == ("expected", False)


@pytest.mark.slow
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
