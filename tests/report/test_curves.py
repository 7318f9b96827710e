"""Pictures of curves: one for each, with what was measured, the chosen step and the kept ones."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from matplotlib.figure import Figure

from benchbd.measure.shares import Curve, CurvePoint, OperatingPoint
from benchbd.record.defense_result import DefenseResult
from benchbd.report.curves import draw_curves
from support.made_cells import make_cell

PNG = b"\x89PNG\r\n\x1a\n"
KEPT = OperatingPoint(name="2%", value=0.5, units=6, validation_acc=0.97, acc=0.95, asr=0.5, rc=0.0)
STEPS = tuple(
    CurvePoint(value=value, acc=acc, asr=None, rc=acc / 2)
    for value, acc in ((0.0, 0.9), (0.5, 0.8), (1.0, 0.1))
)
SWEEP = Curve(axis="pruned share", points=STEPS, chosen=1)


def result_with(folder: Path, *curves: Curve) -> DefenseResult:
    cell = make_cell(curves=curves, operating_points=(KEPT,))
    return cast(DefenseResult, SimpleNamespace(cell=cell, folder=folder))


@pytest.mark.slow
def test_each_curve_has_a_picture(tmp_path: Path) -> None:
    epochs = Curve(name="epochs", axis="epoch", points=STEPS)
    draw_curves(result_with(tmp_path, SWEEP, epochs))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.png", "epochs.png"]
    assert all(path.read_bytes().startswith(PNG) for path in tmp_path.iterdir())


def test_lines_are_the_measured_shares_in_percent(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_curves(result_with(tmp_path, SWEEP))
    (axes,) = drawn[0].axes
    lines = {str(line.get_label()): line for line in axes.lines}
    assert "ASR" not in lines, "what was measured at no step has no line"
    assert lines["ACC"].get_xydata().tolist() == [[0, 90], [0.5, 80], [1, 10]]  # type: ignore[union-attr]
    assert lines["RC"].get_ydata().tolist() == [45, 40, 5]  # type: ignore[union-attr]
    assert list(lines["chosen"].get_xdata()) == [0.5, 0.5]  # type: ignore[arg-type]
    assert [text.get_text() for text in axes.texts] == ["2%"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("pruned share", "% of test images")


def test_kept_steps_are_of_the_sweep_alone(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_curves(result_with(tmp_path, Curve(name="epochs", axis="epoch", points=STEPS)))
    assert not drawn[0].axes[0].texts
