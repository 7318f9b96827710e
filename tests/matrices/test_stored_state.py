"""How a planned cell stands: by what is stored of it, and by the sources it was made with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from benchbd.matrices.plan import PlannedCell, plan
from benchbd.matrices.stored_state import StoredState, stored_state
from benchbd.record.cells import ResultStore
from support.made_cells import make_cell


@pytest.fixture
def planned(tiny: Any) -> PlannedCell:
    (found,) = plan(tiny())
    return cast(PlannedCell, found)


@pytest.fixture
def results(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path)


def stand(planned: PlannedCell, results: ResultStore, *rerun: str) -> StoredState:
    return stored_state(planned, results, results.names("tiny"), rerun)


def keep(planned: PlannedCell, results: ResultStore, **more: Any) -> None:
    """A cell under the name and the key that were planned."""
    results.write(planned.result_name, make_cell(**more).model_copy(update={"key": planned.key}))


def test_nothing_stored_is_missing(planned: PlannedCell, results: ResultStore) -> None:
    assert stand(planned, results).state == "missing"


def test_what_is_stored_is_used_again_unless_it_is_to_be_done_again(
    planned: PlannedCell, results: ResultStore
) -> None:
    keep(planned, results)
    assert stand(planned, results).state == "reused"
    assert stand(planned, results, "failed").state == "reused"
    assert stand(planned, results, "ok").state == "again"


def test_a_failure_is_a_result_too(planned: PlannedCell, results: ResultStore) -> None:
    keep(planned, results, code="failed", reason="not today")
    assert stand(planned, results).state == "reused"
    again = stand(planned, results, "failed", "timeout")
    assert (again.state, again.reason) == ("again", "failed")


def test_what_cannot_be_believed_is_broken(planned: PlannedCell, results: ResultStore) -> None:
    results.write(planned.result_name, make_cell())
    found = stand(planned, results)
    assert found.state == "broken" and "is the result of other work" in found.reason


def test_another_source_makes_it_stale(planned: PlannedCell, results: ResultStore) -> None:
    keep(planned, results, provenance={"sources": {"attack.badnet": "0" * 64}})
    found = stand(planned, results)
    assert found.state == "stale" and "another source of attack.badnet" in found.reason
    assert stand(planned, results, "stale").state == "again"
