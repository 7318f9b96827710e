"""The table of cells on terminals of several widths."""

from __future__ import annotations

import pytest

from benchbd.measure.shares import Curve, OperatingPoint
from benchbd.record.attack_result import AttackResult
from benchbd.report.table import ROOM, cells_table, curve_table, plain
from support.made_cells import make_cell


@pytest.mark.parametrize("width", [60, ROOM])
def test_nothing_in_the_table_is_cut_off(stored: AttackResult, width: int) -> None:
    shown = plain(cells_table(stored, [make_cell(seed=28)], width), width=width)
    assert "…" not in shown and "90.0" in shown
    assert ("(900/1000)" in shown) == (width == ROOM)


def test_headings_of_a_sweep_are_whole() -> None:
    kept = OperatingPoint(
        name="2%", value=0.45, units=12, validation_acc=0.972, acc=0.951, asr=1.0, rc=0.0
    )
    swept = make_cell(curves=(Curve(axis="pruned share", points=()),), operating_points=(kept,))
    assert "…" not in plain(curve_table(swept), width=60)
