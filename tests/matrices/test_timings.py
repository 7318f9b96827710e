"""How long stages take: from those on the same data and model first, from others of the same plugin
else.
"""

from __future__ import annotations

from typing import Any

import pytest

from benchbd.matrices.plan import plan
from benchbd.matrices.stored_state import StoredState
from benchbd.matrices.timings import Timings
from benchbd.record.cell import CellCost
from support.made_cells import make_cell


def test_a_stage_takes_what_the_like_of_it_took(tiny: Any) -> None:
    narrow, wide, third = (
        {"name": "resnet_small", "params": {"width": width}} for width in (2, 4, 6)
    )
    cells = list(
        plan(
            tiny(model=[narrow, wide, third], attacks=["corner", "badnet"], defenses=["none", "ft"])
        )
    )
    seen = {
        ("corner", "none", 2): (10, 1, 2),
        ("corner", "ft", 2): (30, 5, 0),
        ("corner", "none", 4): (100, 40, 2),
    }

    def stored(cell: Any) -> Any:
        times = seen.get(
            (
                cell.job.attack.record.label,
                cell.defense.record.label,
                cell.job.model.record.params["width"],
            )
        )
        cost = times and CellCost(
            attack_seconds=times[0], defense_seconds=times[1], evaluation_seconds=times[2]
        )
        return make_cell(cost=cost) if cost else None

    known = Timings.of(
        StoredState(cell, "reused" if stored(cell) else "missing", stored(cell)) for cell in cells
    )

    def seconds(attack: str, defense: str, width: int, attacked: bool = False) -> float | None:
        wanted = (attack, defense, width)
        (cell,) = [
            c
            for c in cells
            if (
                c.job.attack.record.label,
                c.defense.record.label,
                c.job.model.record.params["width"],
            )
            == wanted
        ]  # type: ignore[attr-defined]
        estimate = known.estimate([cell.job] if attacked else [], [] if attacked else [cell])
        return None if estimate.unknown else estimate.seconds

    assert seconds("corner", "none", 2) == 3 and seconds("corner", "none", 4) == 42
    assert seconds("corner", "none", 6) == pytest.approx((3 + 42) / 2), "judged by the other models"
    assert seconds("badnet", "ft", 4) == 5, "the time of a defense is no matter of the attack"
    assert seconds("corner", "ft", 2, attacked=True) == 20 and seconds(
        "corner", "ft", 6, attacked=True
    ) == pytest.approx(140 / 3)
    assert seconds("badnet", "none", 2, attacked=True) is None
