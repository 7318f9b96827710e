"""The picture of a sweep."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from matplotlib.figure import Figure

from benchbd.report.sweep import draw_sweep


def share(mean: float, low: float | None = None, high: float | None = None) -> SimpleNamespace:
    return SimpleNamespace(mean=mean, low=low, high=high)


def test_means_are_lines_and_intervals_are_bands(drawn: list[Figure], tmp_path: Path) -> None:
    points = [
        SimpleNamespace(value="0.01", acc=share(0.9), asr=share(0.2, 0.1, 0.3), rc=None),
        SimpleNamespace(value="0.1", acc=share(0.8), asr=share(1.0, 0.9, 1.0), rc=None),
    ]
    curve = SimpleNamespace(attack="badnet", defense="ft", points=points)
    path = draw_sweep("poison_ratio", [curve], tmp_path / "sweep.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    (axes,) = drawn[0].axes
    lines = {str(line.get_label()): line.get_ydata() for line in axes.lines}
    assert list(lines["ASR"]) == [20, 100] and list(lines["ACC"]) == [90, 80]  # type: ignore[arg-type]
    (band,) = axes.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}  # type: ignore[union-attr]
    assert {(0, 10), (0, 30), (1, 90), (1, 100)} <= corners
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.01", "0.1"]
    assert axes.get_title(loc="left") == "ft against badnet"
