"""What TensorBoard is shown of a cell, and where it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.plugin.hooks import Observers
from benchbd_zoo.hooks.tensorboard import TensorBoard, scalars

CELL = {
    "key": "0123456789",
    "metrics": {"acc": 0.5, "asr": None, "rc": 0.25, "acc_drop": 0.1},
    "curves": [{"name": "sweep", "points": [{"acc": 0.5, "value": 1}, {"acc": 0.25, "value": 2}]}],
    "cell": {"attack": {"name": "badnet"}, "defense": {"name": "ft"}, "seed": 3},
}


def test_what_tensorboard_is_shown() -> None:
    assert scalars(CELL) == [
        ("final/acc", 0, 0.5),
        ("final/rc", 0, 0.25),
        ("sweep/acc", 0, 0.5),
        ("sweep/acc", 1, 0.25),
    ]


def test_tensorboard_files(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra benchbd[tensorboard] is not installed")
    TensorBoard(tmp_path).cell_finished(CELL)
    assert [path.name for path in tmp_path.iterdir()] == ["badnet-ft-seed3-01234567"]


def test_tensorboard_that_is_not_installed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBD_TENSORBOARD", "runs")
    monkeypatch.setitem(__import__("sys").modules, "tensorboard", None)
    assert (
        "pip install benchbd[tensorboard]"
        in Observers.from_packages().switched_off["benchbd/tensorboard"]
    )
