"""The table of cells on terminals of several widths."""

from __future__ import annotations

import pytest
from made_cells import make_cell

from benchbd.record.attack_result import AttackResult
from benchbd.report.table import ROOM, cells_table, plain


@pytest.mark.parametrize("width", [60, ROOM])
def test_nothing_in_the_table_is_cut_off(stored: AttackResult, width: int) -> None:
    shown = plain(cells_table(stored, [make_cell(seed=28)], width), width=width)
    assert "…" not in shown and "90.0" in shown
    assert ("(900/1000)" in shown) == (width == ROOM)
