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
