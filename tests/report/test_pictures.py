"""Pictures that a method wants to show: one file, each under its name, whatever its colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.axes import Axes

from benchbd.report.pictures import draw_pictures


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arrays that are drawn."""
    arrays: list[Any] = []
    draw = Axes.imshow

    def noted(axes: Axes, array: Any, **more: Any) -> Any:
        arrays.append(array)
        return draw(axes, array, **more)

    monkeypatch.setattr(Axes, "imshow", noted)
    return arrays


def test_nothing_to_show_is_no_file(tmp_path: Path) -> None:
    draw_pictures({}, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("channels", "shape"), [(1, (4, 6)), (3, (4, 6, 3)), (4, (4, 6, 3))])
def test_grey_colour_and_more_channels(
    tmp_path: Path, shown: list[Any], channels: int, shape: tuple[int, ...]
) -> None:
    draw_pictures({"class 3": torch.rand(channels, 4, 6)}, tmp_path)
    assert shown[0].shape == shape
    assert (tmp_path / "pictures.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_dozen_take_a_second_row_and_values_are_held_to_what_can_be_shown(
    tmp_path: Path, shown: list[Any]
) -> None:
    draw_pictures({str(n): torch.full((1, 2, 2), n - 1.0) for n in range(12)}, tmp_path)
    assert len(shown) == 12
    assert [float(each.max()) for each in shown[:3]] == [0, 0, 1]
