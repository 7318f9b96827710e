"""The table of cells on terminals of several widths."""

from __future__ import annotations

import re

import pytest

from benchbd.measure.shares import Curve, OperatingPoint
from benchbd.record.attack_result import AttackResult
from benchbd.report.table import (
    ROOM_FOR_COUNTS,
    ROOM_FOR_NAMES,
    AttackSummary,
    cells_table,
    curve_table,
    detection_line,
    plain,
)
from support.made_cells import make_cell


@pytest.mark.parametrize("width", [60, ROOM_FOR_COUNTS])
def test_nothing_in_the_table_is_cut_off(stored: AttackResult, width: int) -> None:
    undefended = AttackSummary.of(stored, reused=False)
    shown = plain(cells_table([(undefended, [make_cell(seed=28)])], width), width=width)
    assert "…" not in shown and "90.0" in shown
    assert ("(900/1000)" in shown) == (width == ROOM_FOR_COUNTS)


@pytest.mark.parametrize("width", [80, ROOM_FOR_COUNTS + ROOM_FOR_NAMES])
def test_rows_of_several_attack_results_name_attack_and_seed(
    stored: AttackResult, width: int
) -> None:
    undefended = AttackSummary.of(stored, reused=False)
    failed = make_cell("patch", seed=7, hits=None, code="failed", reason="no")
    rows = [(undefended, [make_cell("input_aware", seed=28)]), (None, [failed])]
    shown = plain(cells_table(rows, width), width=width)
    named = [re.findall(r"[\w()]+", line)[:3] for line in shown.splitlines() if "│" in line]
    assert named == [
        ["input_aware", "28", "(undefended)"],
        ["input_aware", "28", "mend"],
        ["patch", "7", "mend"],
    ]
    assert "…" not in shown and ("(900/1000)" in shown) == (width > 80)


def test_the_first_line_says_on_how_many_threads_it_was_trained(stored: AttackResult) -> None:
    count = stored.manifest.provenance["threads"]
    told = AttackSummary.of(stored, reused=False).header.plain
    assert told.endswith(f" s on {count} thread{'s' * (count > 1)}")
    again = AttackSummary.of(stored, reused=True, stale="made with another source of attack.badnet")
    assert again.header.plain.endswith("stored result used again")
    assert "another source of attack.badnet; --rerun attack makes it again" in again.notes[0]


def test_headings_of_a_sweep_are_whole() -> None:
    kept = OperatingPoint(
        name="2%", value=0.45, units=12, validation_acc=0.972, acc=0.951, asr=1.0, rc=0.0
    )
    swept = make_cell(curves=(Curve(axis="pruned share", points=()),), operating_points=(kept,))
    assert "…" not in plain(curve_table(swept), width=60)


@pytest.mark.parametrize(
    ("flagged", "said"),
    [
        ([0], "mend: backdoored: class 0 (score 3.30); the highest score of the others is 1.00"),
        ([], "mend: nothing found: no class is flagged, the highest score is 3.30"),
    ],
)
def test_what_a_model_detector_found_is_said_with_its_scores(flagged: list[int], said: str) -> None:
    found = {"flagged": bool(flagged), "flagged_classes": flagged, "scores": [3.3, 0.2, 1.0]}
    assert detection_line(make_cell(detection=found)) == said


def test_a_flag_for_a_wrong_class_is_called_one() -> None:
    found = {"flagged": True, "flagged_classes": [0], "scores": [3.3, 0.2, 1.0]}
    line = detection_line(make_cell(detection=found | {"attacked_classes": [2]}))
    assert line == (
        "mend: backdoored: class 0 (score 3.30); this is not what is attacked; the highest score "
        "of the others is 1.00"
    )
    assert "not what" not in str(detection_line(make_cell(detection=found)))
    right = make_cell(detection=found | {"attacked_classes": [0, 2]})
    assert "not what" not in str(detection_line(right))


def test_what_an_input_detector_found_is_said_with_its_rates() -> None:
    found = {"auroc": 0.9976, "fpr": 0.036, "tpr": 0.978, "threshold": -0.03}
    assert detection_line(make_cell(detection=found)) == (
        "mend flags 3.6 % of the clean and 97.8 % of the triggered test images, AUROC 0.998"
    )
    assert detection_line(make_cell()) is None
