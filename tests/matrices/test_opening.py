"""From options to the plan and the run that they describe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchbd.errors import ConfigError
from benchbd.matrices.opening import open_matrix, open_plan, open_session
from benchbd.matrices.options import MatrixOptions, PlanOptions
from support.tiny_matrix import TINY


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A protocol of two seeds, of which the second is asked for."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(yaml.safe_dump(TINY | {"seeds": [0, 1], "time_limit": 60}))
    return {"protocol": "tiny.yaml", "seeds": 1, "results": "results"}


def test_a_plan_is_the_part_that_was_asked_for(given: dict[str, Any]) -> None:
    with open_plan(PlanOptions(**given)) as plan:
        (standing,) = plan.standings
    assert (standing.planned.job.seed, standing.state) == (1, "missing")
    assert plan.results == Path("results")


def test_a_run_is_the_same_part_on_its_device(given: dict[str, Any]) -> None:
    with (
        open_plan(PlanOptions(**given)) as plan,
        open_matrix(MatrixOptions(**given, device="cpu")) as m,
    ):
        assert [s.planned.key for s in m.standings] == [s.planned.key for s in plan.standings]
        assert m.device == "cpu"


def test_the_limits_of_a_session_are_those_of_the_options_else_of_the_protocol(
    given: dict[str, Any],
) -> None:
    options = MatrixOptions(**given, executor="inprocess", memory_limit=1)
    with open_matrix(options) as matrix, open_session(matrix, options) as session:
        assert session.capacity == 1
        limits = matrix.limits(options.time_limit, options.memory_limit)
    assert (limits.seconds, limits.memory) == (60, 2**30)


def test_settings_that_the_executor_does_not_take_are_refused(given: dict[str, Any]) -> None:
    options = MatrixOptions(**given, executor="inprocess", settings={"executor.speed": 9})
    with open_matrix(options) as matrix, pytest.raises(ConfigError, match="speed"):
        with open_session(matrix, options):
            pass
