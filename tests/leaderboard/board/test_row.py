"""Cells as rows: figures that are shares, texts on one line, and one row for each cell."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchbd.leaderboard.board.row import (
    METRICS,
    MOST_DOUBTS,
    read_rows,
    row_of,
    stated_family,
)
from benchbd.leaderboard.board.trust import TrustNote
from benchbd.measure.shares import Metrics
from benchbd.measure.target_rate import Utility
from benchbd.record.cell import CellCost
from support.made_cells import make_cell, provided, store


def test_a_row_has_the_figures_of_its_cell() -> None:
    row = row_of(make_cell(hits=(900, 90, 720), seed=3), "a.json")
    assert (row.file, row.seed, row.ok) == ("a.json", 3, True)
    assert row.metrics == {"acc": 0.9, "asr": 0.1, "rc": 0.8, "der": pytest.approx(0.925)}
    assert row.hits == {"acc": (900, 1000), "asr": (90, 900), "rc": (720, 900)}
    assert (row.cost["seconds"], row.cost["attack_seconds"]) == (5.0, 60.0)
    assert (row.attack.name, row.defense.name, row.where.protocol) == ("patch", "mend", "trial@1")


def test_steps_of_optimizers_are_told_where_they_were_counted() -> None:
    counted = row_of(make_cell(cost=CellCost(optimizer_steps=1250)), "a.json")
    assert counted.made["steps of optimizers"] == "1,250"
    assert "steps of optimizers" not in row_of(make_cell(), "a.json").made


def test_what_failed_has_a_reason_and_no_figures() -> None:
    row = row_of(make_cell(code="failed", reason="two\nlines"))
    assert (row.ok, row.metrics, row.hits) == (False, {}, {})
    assert (row.code, row.reason, row.stage) == ("failed", "two lines", "defense")


def test_only_shares_are_figures_of_a_detector() -> None:
    said = {"auroc": 0.5, "tpr": 2, "fpr": "0.1", "flagged": True, "scores": [0.5, 7.0]}
    assert row_of(make_cell(detection=said)).detection == {
        "auroc": 0.5,
        "flagged": 1.0,
        "highest": 7.0,
    }


@pytest.mark.parametrize(("value", "shown"), [(0.25, {"false_activation": 0.25}), (None, {})])
def test_false_activation_is_a_metric_where_it_was_measured(
    value: float | None, shown: dict[str, float]
) -> None:
    cell = make_cell()
    assert cell.counts is not None
    counts = cell.counts.model_copy(
        update={"bystanders": 4 if value else 0, "bystander_hits": 1 if value else 0}
    )
    metrics = Metrics.from_counts(counts, cell.baseline)
    found = row_of(cell.model_copy(update={"counts": counts, "metrics": metrics})).metrics
    assert found.items() >= shown.items() and ("false_activation" in found) == bool(shown)


def test_doubts_have_an_end() -> None:
    doubts = tuple(f"doubt {n}" for n in range(99))
    assert row_of(make_cell(doubts=doubts)).doubts == doubts[:MOST_DOUBTS]


@pytest.mark.parametrize(
    ("said", "family"),
    [
        ({"families": {"attack": "data-poisoning"}}, "data-poisoning"),
        ({"stages": {"attack": "data-poisoning"}}, "data-poisoning"),
        ({"families": {"defense": "repair"}}, ""),
        ({"families": "all"}, ""),
        ({}, ""),
    ],
)
def test_a_family_is_what_the_result_says(said: dict[str, object], family: str) -> None:
    assert stated_family(said, "attack") == family


def test_a_file_that_is_not_in_its_place_is_left_out(tmp_path: Path) -> None:
    """A copy under a name that comes first takes nothing from the file in the right place."""
    folder = store([make_cell(hits=(900, 80, 720))], tmp_path)
    (path,) = folder.rglob("*.json")
    other = store([make_cell(hits=(999, 0, 899))], tmp_path / "other")
    shutil.move(next(other.rglob("*.json")), path.with_name("00.json"))
    shutil.copytree(folder / "trial", folder / "a" / "trial")
    rows, faults = read_rows(folder, {})
    assert [(row.file, row.hits["asr"]) for row in rows] == [(make_cell().place, (80, 900))]
    assert len(faults) == 3
    assert all(f"its place, which is {make_cell().place}" in fault for fault in faults)


def test_results_of_one_protocol_are_in_place_in_its_own_folder(tmp_path: Path) -> None:
    folder = store([make_cell()], tmp_path)
    rows, faults = read_rows(folder / "trial" / "patch", {})
    assert ([row.key for row in rows], faults) == ([make_cell().key], [])


def test_a_baseline_that_is_not_what_none_measured_is_left_out(tmp_path: Path) -> None:
    """The cell that states it alone: those that come after it are honest."""
    better = Metrics(acc=0.5, asr=1.0, rc=0.0)
    cells = [
        make_cell(defense="none", hits=(950, 900, 0)),
        make_cell(defense="a_liar", baseline=better),
        make_cell(defense="mend"),
        make_cell(defense="a_liar", seed=1, baseline=better),
    ]
    rows, faults = read_rows(store(cells, tmp_path), {})
    assert {(row.defense.name, row.seed) for row in rows} == {
        ("none", 0),
        ("mend", 0),
        ("a_liar", 1),
    }
    (fault,) = faults
    assert fault.startswith(f"{cells[1].place}: its baseline (ACC, ASR, RC) (0.5, 1.0, 0.0)")


def test_undefended_cells_that_contradict_each_other_are_no_reference(tmp_path: Path) -> None:
    forged = provided("none", more=1)
    own = Metrics(acc=0.1, asr=0.1, rc=0.0)
    cells = [
        make_cell(defense="none", hits=(950, 900, 0)),
        make_cell(defense=forged, hits=(100, 90, 0), baseline=own),
        make_cell(),
    ]
    rows, faults = read_rows(store(cells, tmp_path), {})
    assert (len(rows), faults) == (3, [])


def test_der_takes_asr_above_b_and_a_high_b_is_a_doubt() -> None:
    counted = Utility(
        target_rate=0.5,
        target_rate_before=0.1,
        least_class=3,
        least_accuracy=0.1,
        attacked_recall=0.9,
        attacked_recall_before=None,
        agreement=0.4,
    )
    cell = make_cell(hits=(950, 540, 0))
    note = TrustNote(digest=cell.digest, level="recomputed", utility=counted)
    row = row_of(cell, ledger={cell.key: note})
    # ASR above b falls from 0.9 to 0.1, ACC stays
    assert (row.metrics["b"], row.metrics["asr"]) == (0.5, 0.6)
    assert row.metrics["der"] == pytest.approx(0.9)
    assert row.utility == {"least_accuracy": 0.1, "attacked_recall": 0.9, "agreement": 0.4}
    assert "without the trigger, 50.0 %" in row.doubts[0]
    unverified = row_of(cell)
    assert (unverified.metrics, unverified.doubts) == (
        {name: getattr(cell.metrics, name) for name in METRICS},
        (),
    )
