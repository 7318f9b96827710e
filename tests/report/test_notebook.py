"""What a notebook shows: the table as text, the pictures as part of it, and no foreign HTML."""

from __future__ import annotations

import base64
from pathlib import Path

from PIL import Image

from benchbd.report.notebook import MAX_PICTURE_BYTES, html_of


def test_pictures_are_part_of_the_html(tmp_path: Path) -> None:
    folder = tmp_path / "<b>"
    folder.mkdir()
    picture = folder / "curve.png"
    Image.new("L", (2, 2)).save(picture)
    shown = html_of("a <table>", [picture, tmp_path / "absent.png"])
    assert shown.startswith("<pre>a &lt;table&gt;</pre>")
    assert base64.b64encode(picture.read_bytes()).decode() in shown
    assert shown.count("<figure>") == 1
    assert "&lt;b&gt;/curve.png" in shown and "<b>" not in shown


def test_a_picture_of_many_megabytes_is_left_out(tmp_path: Path) -> None:
    huge = tmp_path / "huge.png"
    huge.write_bytes(b"0" * (MAX_PICTURE_BYTES + 1))
    assert "<figure>" not in html_of("", [huge])
