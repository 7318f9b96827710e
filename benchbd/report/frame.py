"""Cells as a pandas table: one row each, numbers as numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from benchbd.record.cell import Cell

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
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
    "clean",
    "triggered",
    "attack_seconds",
    "defense_seconds",
    "evaluation_seconds",
    "peak_bytes",
    "clean_samples",
    "oracle",
    "key",
)


def frame(cells: Iterable[Cell]) -> DataFrame:
    """Shares lie in [0, 1]; what was not measured is missing. The columns are `COLUMNS`, also without any cell."""
    import pandas

    return pandas.DataFrame([_row(cell) for cell in cells], columns=list(COLUMNS))


def _row(cell: Cell) -> dict[str, Any]:
    about, cost = cell.cell, cell.cost
    row: dict[str, Any] = {
        "protocol": cell.protocol,
        "dataset": about.dataset.name,
        "model": about.model.name,
        "attack": about.attack.name,
        "poison_ratio": about.attack.params.get("poison_ratio"),
        "defense": about.defense.name,
        "seed": about.seed,
        "status": cell.status.code,
        "reason": cell.status.reason,
        "attack_seconds": cost.attack_seconds,
        "defense_seconds": cost.defense_seconds,
        "evaluation_seconds": cost.evaluation_seconds,
        "peak_bytes": cost.peak_bytes,
        "clean_samples": cost.clean_samples,
        "oracle": cell.flags.oracle,
        "key": cell.key,
    }
    row |= cell.metrics.model_dump() if cell.metrics else {}
    row |= {f"baseline_{name}": value for name, value in cell.baseline.model_dump().items()} if cell.baseline else {}
    row |= {"clean": cell.counts.clean, "triggered": cell.counts.triggered} if cell.counts else {}
    return row
