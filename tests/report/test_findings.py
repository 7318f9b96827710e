"""Pictures of analyses: what is drawn is the data, in three formats, the same bytes each time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from benchbd.api import Grid, Histogram, Lines, Overlay, Picture, Scatter
from benchbd.report.findings import draw

POINTS = Scatter(
    {"backdoored": torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])},
    torch.tensor([0, 1, 0]),
    ("clean", "poisoned"),
    "caption.",
)
CURVES = Lines([0.5, 1.0], {"anp": torch.tensor([0.2, 0.9])}, "strength", "ASR", "caption.")
WORDS = Lines(["first", "last"], {"anp": torch.tensor([0.2, 0.9])}, "layer", "AUROC", "caption.")
SPREAD = Histogram(
    {"ft": {"clean": torch.tensor([0.0, 0.0, 1.0]), "poisoned": torch.tensor([3.0])}}, "x", "c."
)
SHARES = Grid({"clean": torch.tensor([[1.0, 0.0], [0.25, 0.75]])}, ("a", "b"), ("a", "b"), "c.")
HEAT = Overlay(
    torch.zeros(2, 1, 4, 4, dtype=torch.uint8),
    {"backdoored": torch.ones(2, 4, 4), "ft": torch.stack([torch.ones(4, 4), torch.zeros(4, 4)])},
    ("three", "$5_to_$9"),
    "c.",
)


@pytest.mark.slow
@pytest.mark.parametrize("picture", [POINTS, CURVES, WORDS, SPREAD, SHARES, HEAT])
def test_each_form_is_written_in_three_formats_and_twice_alike(
    picture: Picture, tmp_path: Path
) -> None:
    first = draw(picture, "title", tmp_path / "first")
    second = draw(picture, "title", tmp_path / "second")
    assert [path.name for path in first] == ["first.png", "first.svg", "first.pdf"]
    starts = (b"\x89PNG", b"<?xml", b"%PDF")
    assert all(p.read_bytes().startswith(s) for p, s in zip(first, starts, strict=True))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_points_lie_where_they_are(drawn: list[Figure], tmp_path: Path) -> None:
    draw(POINTS, "title", tmp_path / "picture")
    clean, poisoned = drawn[0].axes[0].collections
    assert clean.get_offsets().tolist() == [[0, 1], [4, 5]]  # type: ignore[union-attr]
    assert poisoned.get_offsets().tolist() == [[2, 3]]  # type: ignore[union-attr]
    assert drawn[0].axes[0].get_aspect() == 1, "a distance is as long across as up"


def test_marked_points_are_black_and_lie_above(drawn: list[Figure], tmp_path: Path) -> None:
    draw(replace(POINTS, marked=("poisoned",)), "title", tmp_path / "picture")
    clean, poisoned = drawn[0].axes[0].collections
    assert poisoned.get_facecolor()[0, :3].tolist() == [0, 0, 0]  # type: ignore[call-overload,index]
    assert poisoned.get_zorder() > clean.get_zorder()


def test_a_small_difference_of_shares_looks_small(drawn: list[Figure], tmp_path: Path) -> None:
    draw(replace(CURVES, span=(0, 1)), "title", tmp_path / "picture")
    axes = drawn[0].axes[0]
    low, high = axes.get_ylim()
    assert -0.1 < low <= 0 and 1 <= high < 1.1
    assert axes.get_xlim()[0] > 0.4, "the other axis shows its places alone"


def test_a_legend_of_long_names_stays_inside(drawn: list[Figure], tmp_path: Path) -> None:
    curves = {f"a defense of long name {number}": torch.zeros(2) for number in range(6)}
    draw(replace(CURVES, curves=curves), "title", tmp_path / "picture")
    (legend,) = drawn[0].legends
    box = legend.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= drawn[0].bbox.x1


def test_bars_are_shares_of_their_group(drawn: list[Figure], tmp_path: Path) -> None:
    draw(SPREAD, "title", tmp_path / "picture")
    heights = [bar.get_height() for bar in drawn[0].axes[0].patches]  # type: ignore[attr-defined]
    assert sum(heights) == pytest.approx(200), "two groups of 100 %, whatever their sizes"
    assert max(heights[:30]) == pytest.approx(100 * 2 / 3)


def test_shares_are_written_into_their_fields(drawn: list[Figure], tmp_path: Path) -> None:
    draw(SHARES, "title", tmp_path / "picture")
    texts = {tuple(text.get_position()): text.get_text() for text in drawn[0].axes[0].texts}
    assert texts == {(0, 0): "100", (0, 1): "25", (1, 1): "75"}


def test_of_many_rows_some_are_named(drawn: list[Figure], tmp_path: Path) -> None:
    names = [str(number - 16) for number in range(32)]
    draw(Grid({"spectrum": torch.eye(32)}, names, names, "c."), "title", tmp_path / "picture")
    axes = drawn[0].axes[0]
    labels = [(label.get_position()[1], label.get_text()) for label in axes.get_yticklabels()]
    assert labels[:2] == [(0, "-16"), (3, "-13")] and len(labels) == 11


def test_a_row_of_maps_has_one_scale(drawn: list[Figure], tmp_path: Path) -> None:
    draw(HEAT, "title", tmp_path / "picture")
    maps = [axes.images[-1].get_clim() for axes in drawn[0].axes[2:]]
    assert maps == [(0, 1)] * 4, "a map without heat is dark, not stretched"
    assert drawn[0].axes[1].get_title() == "$5_to_$9"
