"""The observer says how a cell ended."""

from __future__ import annotations

import pytest
from benchbd_example.scoreboard import Scoreboard

from benchbd.plugin.hooks import Observers

CELL = {
    "cell": {"attack": {"name": "badnet"}, "defense": {"name": "new_head"}},
    "metrics": {"der": 0.75},
    "status": {"code": "ok"},
}


@pytest.mark.parametrize(
    ("changes", "told"), [({}, "DER 0.75"), ({"metrics": None, "status": {"code": "n/a"}}, "n/a")]
)
def test_a_line_for_each_cell(
    capsys: pytest.CaptureFixture[str], changes: dict[str, object], told: str
) -> None:
    observers = Observers()
    observers.add(Scoreboard())
    observers.tell("cell_finished", cell=CELL | changes)
    assert capsys.readouterr().err == f"scoreboard: badnet against new_head: {told}\n"
    assert not observers.switched_off
