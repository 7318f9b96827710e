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
from benchbd.leaderboard.board import image_strips
from benchbd.leaderboard.board.build import board, read_board
from benchbd.leaderboard.board.image_strips import MAX_STRIP_BYTES, STRIP_PATTERN, strip_of
from benchbd.leaderboard.board.row import read_rows
from benchbd.leaderboard.render.json_document import document
from benchbd.leaderboard.render.page_data import inline
from benchbd.record.attack_result import AttackResult
from benchbd.record.cells import ResultStore
from benchbd.record.plugin_record import PluginRecord
from benchbd.report.sheet import STRIP_IMAGES, STRIP_PIXELS, thumbnails
from support.made_cells import attack_named, make_cell

STORED = Path(__file__).parents[3] / "leaderboard" / "results"


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


def kept(folder: Path, attack: str | PluginRecord, content: bytes | None = None) -> Path:
    """Store a cell, and a strip beside it; the path of the strip."""
    cell = make_cell(attack)
    path = ResultStore(folder).write(cell.place, cell).parent.parent / cell.cell.strip_name
    path.write_bytes(content or thumbnails(*pair(8)) or b"")
    return path


def test_only_small_pictures_are_believed(tmp_path: Path) -> None:
    good = kept(tmp_path, "good")
    for attack, content in (
        ("script", b"<svg onload=alert(1)>"),
        ("huge", good.read_bytes() + bytes(MAX_STRIP_BYTES)),
    ):
        kept(tmp_path, attack, content)
    board = read_board(tmp_path, {})
    assert board.pictures == {good.relative_to(tmp_path).as_posix(): good.read_bytes()}
    assert [fault.split("/")[1] for fault in board.faults] == ["huge", "script"]


def test_strips_take_no_more_than_their_share_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strip = kept(tmp_path, "first")
    kept(tmp_path, "second")
    monkeypatch.setattr(image_strips, "MOST", 2 * strip.stat().st_size - 1)
    assert [name.split("/")[1] for name in read_board(tmp_path, {}).pictures] == ["first"]


def test_each_variant_and_each_version_of_an_attack_has_its_strip(tmp_path: Path) -> None:
    small, large = (attack_named("patch", size=size) for size in (2, 4))
    kept(tmp_path, small)
    kept(tmp_path, small.model_copy(update={"results_version": 2}), thumbnails(*pair(12)))
    other = ResultStore(tmp_path)
    other.write(make_cell(large).place, make_cell(large))
    board = read_board(tmp_path, {})
    carried = inline(board, document(board))
    (section,) = carried["sections"]
    strips = {
        (a["method"]["params"]["size"], a["method"]["results_version"]): carried["pictures"].get(
            section["pictures"][a["label"]]
        )
        for a in section["attacks"]
    }
    assert strips[2, 1] and strips[2, 2] and strips[2, 1] != strips[2, 2]
    assert strips[4, 1] is None


def test_what_no_result_belongs_to_is_not_carried(tmp_path: Path) -> None:
    strip = kept(tmp_path, "patch")
    strip.with_name("images-pictures-0123456789ab.png").write_bytes(strip.read_bytes())
    board = read_board(tmp_path, {})
    assert list(board.pictures) == [strip.relative_to(tmp_path).as_posix()] and not board.faults


def test_the_matrix_keeps_a_strip_beside_its_results_and_a_new_one_for_a_new_version(
    stored: AttackResult, tmp_path: Path
) -> None:
    expected = thumbnails(stored.test, stored.triggered)
    for version in (1, 2):
        attack = attack_named("badnet").model_copy(update={"results_version": version})
        cell = make_cell(attack, "none")
        ResultStore(tmp_path).write(cell.place, cell)
        about = {"results": tmp_path, "result": cell.place, "attack_folder": stored.folder}
        DefenseSpec.model_construct(**about)._keep_images()
        assert (tmp_path / "trial" / "badnet" / cell.cell.strip_name).read_bytes() == expected
    assert len(list(tmp_path.glob(STRIP_PATTERN))) == 2


NOT_MADE = {
    f"cifar10-fast/{attack}" for attack in ("input_aware", "low_frequency", "ssba", "trojannn")
}
"""Attacks of the stored results whose trigger takes minutes of training, and whose strips nobody
has made yet: `benchbd leaderboard strips` does.
"""


def test_every_attack_of_the_board_has_its_strip() -> None:
    """Of today's parameters and version, in every table; and none lies there for nothing."""
    sections = board(read_rows(STORED, {})[0]).sections
    wanted = {strip_of(s, attack, entries) for s in sections for attack, entries in s.by_attack()}
    there = {path.relative_to(STORED).as_posix() for path in STORED.glob(STRIP_PATTERN)}
    assert there <= wanted
    assert {name.rpartition("/")[0] for name in wanted - there} == NOT_MADE
