"""The matrix from Python: what is left to do, what is done, and what is told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchbd.errors import ConfigError
from benchbd.executing.executor import Limits, Session, open_executor
from benchbd.matrices.matrix import Matrix, MatrixProgress
from benchbd.matrices.plan import Selection
from benchbd.running.protocol import Protocol


@pytest.fixture
def session() -> Iterator[Session]:
    with open_executor("inprocess", {}, Limits()) as found:
        yield found


@pytest.fixture
def protocol(tiny: Any) -> Protocol:
    """Two attacks and two defenses, of which one does not apply to one of the attacks."""
    return tiny(attacks=["corner", "own_training"], defenses=["none", "retrains"])  # type: ignore[no-any-return]


def test_an_empty_folder_has_everything_to_do(protocol: Protocol, matrix_in: Any) -> None:
    matrix = matrix_in(protocol)
    assert Counter(standing.state for standing in matrix.standings) == {"missing": 3, "excluded": 1}
    assert [attacked.state for attacked in matrix.attacked.values()] == ["missing", "missing"]
    assert matrix.cells() == [] and len(matrix.todo()) == 3


@pytest.mark.slow
def test_each_cell_ends_as_a_row_and_is_not_done_again(
    protocol: Protocol, matrix_in: Any, session: Session, notes: Any
) -> None:
    seen: list[int] = []

    def watch(progress: MatrixProgress) -> None:
        seen.append(progress.done)

    matrix_in(protocol).run(session, watch)
    assert seen == sorted(seen) and seen[-1] == 4
    again = matrix_in(protocol)
    codes = Counter(cell.status.code for cell in again.cells())
    assert (codes, again.todo()) == ({"ok": 3, "n/a": 1}, [])
    done = notes()
    again.run(session)
    assert notes() == done, "what is stored costs nothing"


@pytest.mark.slow
def test_a_part_is_done_alone(protocol: Protocol, matrix_in: Any, session: Session) -> None:
    part = matrix_in(protocol, selection=Selection(attacks=["corner"], defenses=["none"]))
    part.run(session)
    assert [cell.cell.attack.name for cell in part.cells()] == ["corner"]
    whole = matrix_in(protocol)
    assert Counter(standing.state for standing in whole.standings)["reused"] == 1


@pytest.mark.slow
def test_a_failure_stops_nothing_else_unless_it_is_to(
    tiny: Any, matrix_in: Any, session: Session, tmp_path: Path
) -> None:
    protocol = tiny(attacks=["corner"], defenses=["raises", "none"])
    for fail_fast, ended in ((False, {"failed": 1, "ok": 1}), (True, {"failed": 1})):
        matrix = matrix_in(protocol, tmp_path / str(fail_fast))
        matrix.run(session, fail_fast=fail_fast)
        assert Counter(cell.status.code for cell in matrix.cells()) == ended


def test_nothing_is_trained_for_budgets_that_cannot_be_drawn(
    tiny: Any, matrix_in: Any, session: Session, notes: Any
) -> None:
    matrix = matrix_in(tiny(attacks=["corner"], defenses=["jitter", "none"], clean_budget=0.002))
    matrix.run(session)
    for cell in matrix.cells():
        assert (cell.status.code, cell.status.stage) == ("failed", "attack")
        assert "a clean budget of 0.002 gives 0 images of class 0 (0), 2 are" in cell.status.reason
    assert len(matrix.cells()) == 2 and notes() == []


@pytest.mark.parametrize(
    ("given", "seconds", "memory"),
    [((None, None), None, None), ((90, 0.5), 90, 2**29), ((1.5, None), 1.5, None)],
)
def test_limits_are_seconds_and_bytes(
    tiny: Any, matrix_in: Any, given: tuple[Any, Any], seconds: Any, memory: Any
) -> None:
    found = matrix_in(tiny()).limits(*given)
    assert (found.seconds, found.memory, found.threads) == (seconds, memory, 1)


def test_what_to_do_again_is_said_in_words_that_are_known(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="faild"):
        Matrix(tiny(), rerun=frozenset({"faild"}), results=tmp_path, records=tmp_path)


@pytest.mark.parametrize(
    ("ended", "done", "failures"),
    [({}, 2, 0), ({"ok": 3, "n/a": 1}, 6, 0), ({"ok": 1, "failed": 1, "oom": 2}, 6, 3)],
)
def test_progress_counts_what_ended_and_what_failed(
    ended: dict[str, int], done: int, failures: int
) -> None:
    progress = MatrixProgress(total=9, reused=2, ended=ended)
    assert (progress.done, progress.failures) == (done, failures)
