"""The picture of a sensitivity study: a plot for each parameter, the value in use marked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from matplotlib.figure import Figure

from benchbd.report.sensitivity import draw_sensitivity


def studied(
    name: str, own: Any, *points: tuple[Any, float, float | None], score: Any = None
) -> Any:
    steps = [SimpleNamespace(value=value, acc=acc, asr=asr) for value, acc, asr in points]
    return SimpleNamespace(parameter=name, own=own, points=steps, score=score)


def test_every_parameter_has_its_plot(tmp_path: Path, drawn: list[Figure]) -> None:
    epochs = studied("epochs", 2, (1, 0.9, 0.5), (2, 0.8, 0.25), score=0.125)
    schedule = studied("schedule", "cosine", ("cosine", 0.9, None), ("step", 0.7, 0.0))
    path = draw_sensitivity("mend", [epochs, schedule], tmp_path / "a.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    first, second = drawn[0].axes
    titles = [axes.get_title(loc="left") for axes in (first, second)]
    assert titles == ["epochs   12.5", "schedule"]
    ticks = [[text.get_text() for text in axes.get_xticklabels()] for axes in (first, second)]
    assert ticks == [["1", "2"], ["cosine", "step"]]
    acc, asr, used = first.lines
    assert (list(acc.get_ydata()), list(asr.get_ydata())) == ([90, 80], [50, 25])  # type: ignore[arg-type]
    assert list(used.get_xdata()) == [1, 1]  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_fifth_parameter_begins_a_row(tmp_path: Path, drawn: list[Figure]) -> None:
    many = [studied(f"p{n}", 0.5, (0.5, 0.9, 0.1)) for n in range(5)]
    draw_sensitivity("mend", many, tmp_path / "a.png")
    assert [axes.get_subplotspec().rowspan.start for axes in drawn[0].axes] == [0] * 4 + [1] * 4  # type: ignore[union-attr]
