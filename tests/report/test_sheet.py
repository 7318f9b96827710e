"""The sheet of example images: which are shown, and how the change is made visible."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from PIL import Image

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.record.attack_result import AttackResult
from benchbd.report.sheet import amplified, draw_sheet, thumbnails


def triggered(test: ImageSet, change: int = 10) -> TriggeredSet:
    """Every image, brighter by `change`, to be taken for the next class."""
    brighter = (test.images.int() + change).clamp(0, 255).to(torch.uint8)
    return TriggeredSet(torch.arange(len(test)), brighter, test.labels, (test.labels + 1) % 3)


@pytest.mark.parametrize(
    ("change", "factor", "level"), [(0, 1, 128), (1, 32, 160), (10, 12, 248), (100, 1, 228)]
)
def test_a_change_is_amplified_by_a_whole_factor_around_grey(
    change: int, factor: int, level: int
) -> None:
    clean = torch.full((1, 1, 2, 2), 20, dtype=torch.uint8)
    shown, found = amplified(clean, clean + change)
    assert (found, shown.unique().tolist(), shown.dtype) == (factor, [level], torch.uint8)


def test_a_sheet_is_written_beside_the_result(tmp_path: Path, images: ImageSet) -> None:
    result = SimpleNamespace(test=images, triggered=triggered(images), folder=tmp_path)
    draw_sheet(cast(AttackResult, result))
    with Image.open(tmp_path / "images.png") as sheet:
        assert sheet.width > sheet.height > 100


@pytest.mark.slow
@pytest.mark.parametrize("name", ["$5_to_$9", r"$\frac{", "caf\udce9", "two\nlines", "100%_a^b"])
def test_any_class_name_is_drawn_as_plain_text(tmp_path: Path, images: ImageSet, name: str) -> None:
    named = ImageSet(images.images, images.labels, (name, *images.class_names[1:]))
    result = SimpleNamespace(test=named, triggered=triggered(named), folder=tmp_path)
    draw_sheet(cast(AttackResult, result))
    assert (tmp_path / "images.png").is_file()


def test_without_triggered_images_there_is_no_sheet(tmp_path: Path, images: ImageSet) -> None:
    nothing = images.subset(torch.arange(0))
    result = SimpleNamespace(test=images, triggered=triggered(nothing), folder=tmp_path)
    draw_sheet(cast(AttackResult, result))
    assert list(tmp_path.iterdir()) == []


def test_a_strip_shows_one_image_of_each_class_first() -> None:
    levels = torch.tensor([10, 20, 30, 40, 50, 60], dtype=torch.uint8)
    test = ImageSet(
        levels.reshape(6, 1, 1, 1).expand(6, 1, 4, 4).clone(),
        torch.tensor([0, 0, 0, 0, 1, 2]),
        ("ant", "bee", "cat"),
    )
    strip = thumbnails(test, triggered(test))
    assert strip is not None
    with Image.open(io.BytesIO(strip)) as shown:
        row = shown.convert("L").crop((0, 0, shown.width, 1))
        seen = list(dict.fromkeys(row.tobytes()))
    assert [level for level in seen if level != 204] == [10, 50, 60, 20, 30]
