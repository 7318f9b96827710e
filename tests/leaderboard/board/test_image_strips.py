"""Strips of an attack's images: what is on them, where they lie, which are believed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy
import pytest
import torch
from matplotlib.image import imread

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.executing.stage import DefenseSpec
from benchbd.leaderboard.board.build import read_board
from benchbd.leaderboard.board.image_strips import MAX_STRIP_BYTES, read_strips
from benchbd.leaderboard.render.json_document import document
from benchbd.leaderboard.render.page_data import inline
from benchbd.record.attack_result import AttackResult
from benchbd.record.cells import ResultStore
from benchbd.record.keys import strip_name
from benchbd.report.sheet import STRIP_IMAGES, STRIP_PIXELS, thumbnails
from support.made_cells import make_cell


def pair(size: int, channels: int = 3) -> tuple[ImageSet, TriggeredSet]:
    """Grey images of ten classes, and the same with the first row white, of all but class 0."""
    images = torch.full((10, channels, size, size), 100, dtype=torch.uint8)
    labels = torch.arange(10)
    stamped = images[1:].clone()
    stamped[:, :, 0] = 255
    test = ImageSet(images, labels, tuple("abcdefghij"))
    return test, TriggeredSet(labels[1:], stamped, labels[1:], torch.zeros(9, dtype=torch.int64))


def test_a_strip_shows_clean_triggered_and_the_change() -> None:
    content = thumbnails(*pair(16))
    assert content is not None
    pixels = numpy.rint(255 * imread(io.BytesIO(content), format="png")[..., 0]).astype(int)
    assert pixels.shape == (3 * 18, STRIP_IMAGES * 18)
    clean, triggered, change = pixels[:18, :18], pixels[18:36, :18], pixels[36:, :18]
    assert (clean[:16, :16] == 100).all()
    assert (triggered[0, :16] == 255).all() and (triggered[1:16, :16] == 100).all()
    assert (change[0, :16] == 255).all() and (
        change[1:16, :16] == 128
    ).all()  # 155 brighter, around mid-grey and clipped


@pytest.mark.parametrize("channels", [1, 3])
def test_large_images_are_made_small(channels: int) -> None:
    content = thumbnails(*pair(100, channels))
    assert content is not None
    assert imread(io.BytesIO(content), format="png").shape[0] == 3 * (STRIP_PIXELS + 2)
    assert len(content) < MAX_STRIP_BYTES


def test_noise_of_the_usual_size_fits() -> None:
    test, triggered = pair(32)
    noise = torch.randint(
        0, 256, test.images.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    noisy = TriggeredSet(
        triggered.indices, 255 - noise[1:], triggered.true_labels, triggered.attacked_labels
    )
    content = thumbnails(ImageSet(noise, test.labels, test.class_names), noisy)
    assert content is not None and len(content) <= MAX_STRIP_BYTES


def test_what_a_png_cannot_show_has_no_strip() -> None:
    assert thumbnails(*pair(8, channels=2)) is None


def test_only_small_pictures_are_believed(tmp_path: Path) -> None:
    good = thumbnails(*pair(8))
    assert good is not None
    for attack, content in (
        ("good", good),
        ("script", b"<svg onload=alert(1)>"),
        ("huge", good + bytes(MAX_STRIP_BYTES)),
    ):
        folder = tmp_path / "trial" / attack
        folder.mkdir(parents=True)
        (folder / strip_name("pictures")).write_bytes(content)
    found, faults = read_strips(tmp_path)
    assert found == {"trial/good/images-pictures.png": good}
    assert [fault.partition(":")[0] for fault in faults] == [
        "trial/huge/images-pictures.png",
        "trial/script/images-pictures.png",
    ]


def test_a_strip_goes_with_its_attack_and_data_set(tmp_path: Path) -> None:
    strip = thumbnails(*pair(8))
    assert strip is not None
    for attack in ("patch", "blend"):
        ResultStore(tmp_path).write(make_cell(attack).place, make_cell(attack))
    (tmp_path / "trial" / "patch" / strip_name("pictures")).write_bytes(strip)
    (tmp_path / "trial" / "blend" / strip_name("other_pictures")).write_bytes(strip)
    board = read_board(tmp_path, {})
    carried = inline(board, document(board))
    (section,) = carried["sections"]
    assert section["pictures"]["patch"] in carried["pictures"]
    assert section["pictures"]["blend"] not in carried["pictures"]


def test_the_matrix_keeps_a_strip_beside_its_results(stored: AttackResult, tmp_path: Path) -> None:
    about = {
        "results": tmp_path,
        "result": "trial/badnet/none/0-0.json",
        "found_as": {"dataset": "digits"},
        "attack_folder": stored.folder,
    }
    DefenseSpec.model_construct(**about)._keep_images()
    found, _ = read_strips(tmp_path)
    assert found == {"trial/badnet/images-digits.png": thumbnails(stored.test, stored.triggered)}
