"""Checks as pytest tests: one for each, with what is expected to fail, at the level asked for."""

from __future__ import annotations

import pytest

from support.mutants import FOLDER

pytest_plugins = ["pytester"]


pytestmark = pytest.mark.usefixtures("no_processes")


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
    pytester.makepyfile(CONTRACT.format(folder=str(FOLDER), name=name, expected=expected))
    done = pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", "--benchbd-level", "smoke", "-k", "not import_ and not three_arch"
    )
    counts = done.parseoutcomes()
    assert {key: counts.get(key, 0) for key in outcome} == outcome
    assert counts["passed"] > 10


def test_the_level_is_an_option(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CONTRACT.format(folder=str(FOLDER), name="verb_crashes", expected={}))
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--benchbd-level", "api")
    assert done.parseoutcomes() == {"passed": 8, "skipped": 1}
