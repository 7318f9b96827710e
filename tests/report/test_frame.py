"""Cells as a pandas table."""

from __future__ import annotations

import json

from benchbd.record.cell import CellCost
from benchbd.report.frame import FRAME_COLUMNS, frame
from support.made_cells import attack_named, make_cell, provided


def test_variants_differ_in_columns_of_their_own() -> None:
    wide = make_cell(
        attack=attack_named("patch", size=3),
        defense=provided("mend", lr=0.1, epochs=2),
        model=provided("net", width=8),
        dataset=provided("pictures", size=16),
        recipe={"lr": 0.2, "epochs": 5},
        cost=CellCost(device="cuda", precision="bf16"),
    )
    (row,) = frame([wide]).itertuples()
    assert row.attack_params == '{"poison_ratio":0.1,"size":3}'
    assert row.defense_params == '{"epochs":2,"lr":0.1}', "in one order, however it was given"
    assert (row.model_params, row.dataset_params) == ('{"width":8}', '{"size":16}')
    assert json.loads(row.recipe) == {"lr": 0.2, "epochs": 5}
    assert (row.device, row.precision) == ("cuda", "bf16")


def test_what_detectors_found_has_columns_of_its_own() -> None:
    inputs = make_cell(detection={"auroc": 0.9, "tpr": 0.8, "fpr": 0.1, "threshold": -0.03})
    model = make_cell(
        detection={"flagged": True, "flagged_classes": [1], "scores": [0.2, 3.3, 1.0]}, seed=1
    )
    first, second = frame([inputs, model]).itertuples()
    assert (first.auroc, first.tpr, first.fpr) == (0.9, 0.8, 0.1)
    assert (second.flagged, second.flagged_classes, second.highest_score) == (True, "[1]", 3.3)


def test_a_model_is_named_with_its_variant() -> None:
    (row,) = frame([make_cell(model=provided("timm", variant="resnet10t"))]).itertuples()
    assert row.model == "timm:resnet10t"


def test_what_was_not_measured_is_missing() -> None:
    table = frame([make_cell(), make_cell(code="failed", reason="not today")])
    unknown = [
        "acc",
        "asr",
        "baseline_acc",
        "clean",
        "defense_seconds",
        "peak_bytes",
        "device",
        "precision",
    ]
    assert table[unknown].isna().all(axis=1).tolist() == [False, True]
    assert not table[unknown].iloc[0].isna().any()
    assert tuple(table.columns) == tuple(frame([]).columns) == FRAME_COLUMNS
