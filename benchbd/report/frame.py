"""Cells as a pandas table with one row each, whose numbers are numbers and not text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from benchbd.record.cell import Cell
from benchbd.record.keys import canonical_json

if TYPE_CHECKING:
    from pandas import DataFrame

DETECTION_COLUMNS = (
    "auroc",
    "tpr",
    "fpr",
    "tpr_at_1_fpr",
    "tpr_at_5_fpr",
    "removed",
    "flagged",
    "flagged_classes",
    "highest_score",
)
"""What detectors and filters found. `flagged_classes` is a list as JSON."""

FRAME_COLUMNS = (
    "protocol",
    "dataset",
    "model",
    "attack",
    "poison_ratio",
    "defense",
    "seed",
    "status",
    "reason",
    "acc",
    "asr",
    "rc",
    "der",
    "baseline_acc",
    "baseline_asr",
    "baseline_rc",
    *DETECTION_COLUMNS,
    "clean",
    "triggered",
    "attack_seconds",
    "defense_seconds",
    "evaluation_seconds",
    "optimizer_steps",
    "peak_bytes",
    "clean_samples",
    "device",
    "precision",
    "processor",
    "instructions",
    "oracle",
    "dataset_params",
    "model_params",
    "attack_params",
    "defense_params",
    "recipe",
    "attacked_model",
    "key",
)


def frame(cells: Iterable[Cell]) -> DataFrame:
    """Return the cells as a table with the columns `FRAME_COLUMNS`, also if there are no cells.
    Shares lie in [0, 1]; what was not measured is missing.

    Parameters and the recipe are JSON in one canonical spelling, so that rows of the same method
    can be grouped by them.
    """
    import pandas

    return pandas.DataFrame([_row(cell) for cell in cells], columns=list(FRAME_COLUMNS))


def _row(cell: Cell) -> dict[str, Any]:
    about = cell.cell
    row: dict[str, Any] = {
        "protocol": cell.protocol,
        "dataset": about.dataset.name,
        "model": about.model.label,
        "attack": about.attack.name,
        "poison_ratio": about.attack.params.get("poison_ratio"),
        "defense": about.defense.name,
        "seed": about.seed,
        "status": cell.status.code,
        "reason": cell.status.reason,
        "oracle": cell.flags.oracle,
        "recipe": canonical_json(about.recipe),
        "attacked_model": cell.attacked_model or None,
        "key": cell.key,
    }
    row |= {name: cell.provenance.get(name) for name in ("processor", "instructions")}
    row |= _detection(cell.detection or {})
    row |= {
        f"{kind}_params": canonical_json(getattr(about, kind).params)
        for kind in ("dataset", "model", "attack", "defense")
    }
    row |= cell.metrics.model_dump() | cell.cost.model_dump() if cell.metrics else {}
    row |= (
        {f"baseline_{name}": value for name, value in cell.baseline.model_dump().items()}
        if cell.baseline
        else {}
    )
    row |= {"clean": cell.counts.clean, "triggered": cell.counts.triggered} if cell.counts else {}
    return row


def _detection(found: dict[str, Any]) -> dict[str, Any]:
    """Return the columns with the findings of a detector or a filter; none for other methods."""
    row = {name: found[name] for name in DETECTION_COLUMNS if name in found}
    if "flagged_classes" in row:
        row["flagged_classes"] = canonical_json(row["flagged_classes"])
        row["highest_score"] = max(found["scores"], default=None)
    return row
