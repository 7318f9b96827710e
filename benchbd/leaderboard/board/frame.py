"""Cells as a pandas table in which variants of a method are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchbd.leaderboard.board.method_names import Method, labels
from benchbd.leaderboard.board.trust import Ledger, utility_of
from benchbd.record.cell import Cell
from benchbd.report.frame import frame

if TYPE_CHECKING:
    from pandas import DataFrame


def labelled_frame(cells: Sequence[Cell], ledger: Ledger | None = None) -> DataFrame:
    """Return one row per cell; beside each method a label that names the parameters in which it
    differs from its variants, and beside ASR `b`, where the notes of the ledger hold it.
    """
    from pandas import Series

    table = frame(cells)
    for kind in ("attack", "defense"):
        methods = [Method.of(getattr(cell.cell, kind)) for cell in cells]
        names = labels(methods)
        table.insert(
            table.columns.get_loc(kind) + 1, f"{kind}_label", [names[method] for method in methods]
        )
    counted = [utility_of(ledger or {}, cell.key, cell.digest) for cell in cells]
    rates = [found.target_rate if found else None for found in counted]
    table.insert(table.columns.get_loc("asr") + 1, "b", Series(rates, dtype="float64"))
    return table
