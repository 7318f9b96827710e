"""What in a cell cannot be true together."""

from __future__ import annotations

import pytest

from benchbd.errors import RecordError
from benchbd.leaderboard.board.row import row_of
from benchbd.measure.shares import Metrics
from benchbd.record.cell import CellCost
from support.made_cells import attack_named, make_cell, measured


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"key": "00ff"}, "not that of its coordinates"),
        (
            {"metrics": Metrics(acc=0.99, asr=0.1, rc=0.8, der=0.925)},
            "ACC is stored as 0.99, its counts give 0.9",
        ),
        ({"counts": None}, "no metrics or no counts"),
        ({"baseline": Metrics(acc=2.0, asr=1.0, rc=0.0)}, "shares"),
        (measured((900, 90, 720), None), "no baseline, from which its DER"),
        (
            measured((900, 90, 720), Metrics(acc=0.9, asr=None, rc=None)),
            "no baseline, from which its DER",
        ),
        ({"cost": CellCost(defense_seconds=1e300)}, "defense_seconds is 1e\\+300"),
    ],
)
def test_a_cell_that_contradicts_itself_is_not_believed(
    changed: dict[str, object], words: str
) -> None:
    with pytest.raises(RecordError, match=words):
        row_of(make_cell().model_copy(update=changed))


def test_asr_and_rc_cannot_exceed_all() -> None:
    cell = make_cell()
    assert cell.counts is not None
    with pytest.raises(RecordError, match="ASR \\+ RC exceeds 1"):
        row_of(
            cell.model_copy(update={"counts": cell.counts.model_copy(update={"attack_hits": 400})})
        )


def test_a_failure_with_metrics_is_not_believed() -> None:
    failed = make_cell(code="failed", attack=attack_named("a"))
    with pytest.raises(RecordError, match="did not end well"):
        row_of(failed.model_copy(update={"metrics": Metrics(acc=1.0, asr=0.0, rc=1.0)}))
