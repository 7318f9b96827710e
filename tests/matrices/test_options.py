"""Options of a matrix: what its executor is told, and what is no setting of it."""

from __future__ import annotations

from typing import Any

import pytest

from benchbd.errors import ConfigError
from benchbd.matrices.options import MatrixOptions, PlanOptions


def asked(**given: Any) -> MatrixOptions:
    return MatrixOptions(protocol="digits-quick", **given)


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ({}, {}),
        ({"workers": 3}, {"executor.workers": "3"}),
        ({"reuse_worker": True}, {"executor.reuse": "true"}),
        (
            {"settings": {"executor.grace": 0.5}, "workers": 2},
            {"executor.grace": "0.5", "executor.workers": "2"},
        ),
    ],
)
def test_an_executor_is_told_texts(given: dict[str, Any], settings: dict[str, str]) -> None:
    assert asked(**given).executor_settings() == settings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"settings": {"defense.lr": 1}}, r"expected executor\.PARAM=VALUE, got 'defense\.lr'"),
        (
            {"settings": {"executor.workers": 1}, "workers": 2},
            r"executor\.workers is given twice, once by an option of its own",
        ),
    ],
)
def test_what_is_no_setting_of_it_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        asked(**given).executor_settings()


@pytest.mark.parametrize(
    "given", [{"workers": 0}, {"time_limit": 0}, {"memory_limit": "big"}, {"seeds": -1}]
)
def test_what_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="matrix: "):
        asked(**given)


def test_a_plan_takes_the_same_choice() -> None:
    given: dict[str, Any] = {"attacks": "badnet", "seeds": 1, "rerun": "failed,stale"}
    plan = PlanOptions(protocol="digits-quick", **given)
    assert (plan.attacks, plan.seeds, plan.rerun) == (("badnet",), (1,), ("failed", "stale"))
    assert plan.given() == {name: getattr(asked(**given), name) for name in ("protocol", *given)}
