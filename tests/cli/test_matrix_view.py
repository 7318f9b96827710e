"""What a person sees of a matrix, piece by piece."""

from __future__ import annotations

from collections import Counter

import pytest

from benchbd.cli.matrix_view import LiveView, _fitting, _mean
from benchbd.executing.scheduler import Tally
from benchbd.matrices.matrix import MatrixProgress
from support.made_cells import make_cell


@pytest.mark.parametrize(
    ("width", "tables"),
    [
        (200, [["a", "b", "c"]]),
        (40, [["a", "b"], ["c"]]),
        (10, [["a"], ["b"], ["c"]]),  # too narrow for one is still one at a time
    ],
)
def test_columns_are_spread_over_as_many_tables_as_fit(width: int, tables: list[list[str]]) -> None:
    assert _fitting(["a", "b", "c"], width) == tables


def test_a_mean_is_over_what_was_measured() -> None:
    cells = [make_cell(hits=(900, 90, 0)), make_cell(seed=1, hits=(800, 270, 0))]
    assert _mean(cells) == "20.0 / 85.0"
    assert _mean([*cells, make_cell(seed=2, code="failed")]) == "20.0 / 85.0"
    assert _mean([make_cell(code="timeout")]) == "timeout"
    assert _mean([]) == ""


def test_without_a_terminal_each_cell_that_ends_is_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = MatrixProgress(total=3, reused=1, ended=Counter())
    with LiveView() as view:
        view.update(progress)
        progress.tally = Tally(running=("a, b",))
        progress.ended["ok"] += 1
        view.update(progress)
        view.update(progress)
        progress.ended["failed"] += 1
        view.update(progress)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" cells")[0] for line in lines] == ["1/3", "2/3", "3/3"]
    assert "1 running: a, b" in lines[1] and ", 1 failed" in lines[2]
