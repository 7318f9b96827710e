"""Images of strangers: which formats are read and as what, and that nothing else is opened."""

from __future__ import annotations

import os
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchbd.data.pictures import is_picture_file, read_picture
from benchbd.errors import DataError

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n0 0 8 8 rectfill\nshowpage\n"


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def png(rows: bytes, depth: int, colour: int, width: int = 1) -> bytes:
    """A PNG file of one row, written out by hand (RFC 2083)."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" + rows)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    )


@pytest.fixture
def noise() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM"])
def test_colours_of_eight_bits_are_those_in_the_file(noise: Any, form: str) -> None:
    picture = read_picture(saved(Image.fromarray(noise), form), "RGB")
    np.testing.assert_array_equal(np.asarray(picture), noise)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_greys_of_eight_bits_are_those_in_the_file(noise: Any, form: str) -> None:
    content = saved(Image.fromarray(noise[..., 0]), form)
    np.testing.assert_array_equal(np.asarray(read_picture(content, "L")), noise[..., 0])
    np.testing.assert_array_equal(
        np.asarray(read_picture(content, "RGB")), np.repeat(noise[..., :1], 3, axis=2)
    )


def test_other_formats_with_losses_are_close() -> None:
    picture = Image.new("RGB", (16, 16), (200, 100, 50))
    for form in ("JPEG", "WEBP"):
        read = np.asarray(read_picture(saved(picture, form), "RGB")).astype(int)
        assert np.abs(read - [200, 100, 50]).max() <= 4


def test_sixteen_bits_are_scaled() -> None:
    """Of v / 65535 * 255, rounded; clipped, all but the first would be white."""
    levels = np.array([[0, 128, 129, 300, 32_768, 65_406, 65_407, 65_535]], np.uint16)
    expected = [0, 0, 1, 1, 128, 254, 255, 255]
    by_hand = png(levels.astype(">u2").tobytes(), 16, 0, width=8)
    portable = b"P5 8 1 65535\n" + levels.astype(">u2").tobytes()
    tagged = saved(Image.fromarray(levels), "TIFF")
    for content in (by_hand, portable, tagged):
        assert np.asarray(read_picture(content, "L"))[0].tolist() == expected
        assert np.asarray(read_picture(content, "RGB"))[0, :, 2].tolist() == expected


def test_colours_of_sixteen_bits_are_scaled() -> None:
    pixel = struct.pack(">HHH", 0, 32_896, 65_535)
    assert read_picture(png(pixel, 16, 2), "RGB").getpixel((0, 0)) == (0, 128, 255)


def test_pixels_whose_white_nobody_knows_are_refused() -> None:
    for mode in ("I", "F"):
        content = saved(Image.new(mode, (2, 2), 70_000), "TIFF")
        with pytest.raises(DataError, match=rf"expected 8 or 16 bits a channel, got .*'{mode}'"):
            read_picture(content, "RGB")


def test_palettes_and_two_colours() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putpixel((1, 0), 1)
    assert list(np.asarray(read_picture(saved(picture, "PNG"), "RGB"))[0].ravel()) == [
        10, 20, 30, 40, 50, 60,
    ]  # fmt: skip
    two = saved(Image.new("1", (2, 1), 1), "PNG")
    assert read_picture(two, "RGB").getpixel((1, 0)) == (255, 255, 255)


def test_transparent_parts_keep_their_colours_or_their_transparency() -> None:
    content = saved(Image.new("RGBA", (1, 1), (9, 8, 7, 0)), "PNG")
    assert read_picture(content, "RGB").getpixel((0, 0)) == (9, 8, 7)
    assert read_picture(content, "RGBA").getpixel((0, 0)) == (9, 8, 7, 0)
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    graded = saved(palette, "PNG", transparency=bytes([51, 255]))
    assert read_picture(graded, "RGBA").getpixel((0, 0)) == (10, 20, 30, 51)
    assert read_picture(graded, "RGB").getpixel((0, 0)) == (10, 20, 30)


def test_inks_become_light() -> None:
    content = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    red = np.asarray(read_picture(content, "RGB")).astype(int)
    assert np.abs(red - [255, 0, 0]).max() <= 8


def test_the_first_frame_counts() -> None:
    frames = [Image.new("L", (4, 4), level) for level in (10, 200)]
    for form in ("GIF", "TIFF", "PNG"):
        content = saved(frames[0], form, save_all=True, append_images=frames[1:])
        assert read_picture(content, "L").getpixel((0, 0)) == 10


CORNERS = {
    1: [1, 2, 3, 4, 5, 6],
    2: [2, 1, 4, 3, 6, 5],
    3: [6, 5, 4, 3, 2, 1],
    4: [5, 6, 3, 4, 1, 2],
    5: [1, 3, 5, 2, 4, 6],
    6: [5, 3, 1, 6, 4, 2],
    7: [6, 4, 2, 5, 3, 1],
    8: [2, 4, 6, 1, 3, 5],
}
"""What three rows of two pixels show, row by row, where EXIF says that they are stored so: 6, for
one, means that the first row is the right side, and the first column the top."""


@pytest.mark.parametrize("orientation", CORNERS)
def test_images_are_turned_upright(orientation: int) -> None:
    stored = Image.fromarray(np.array([[1, 2], [3, 4], [5, 6]], np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = read_picture(saved(stored, "PNG", exif=exif), "L")
    assert upright.size == ((2, 3) if orientation < 5 else (3, 2))
    assert np.asarray(upright).ravel().tolist() == CORNERS[orientation]


def test_broken_exif_says_nothing(noise: Any) -> None:
    for exif in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nonsense"):
        content = saved(Image.fromarray(noise), "PNG", exif=exif)
        np.testing.assert_array_equal(np.asarray(read_picture(content, "RGB")), noise)


@pytest.mark.parametrize("form", ["EPS", "ICO", "PCX", "TGA", "PDF"])
def test_other_formats_are_refused_whatever_they_are_called(tmp_path: Path, form: str) -> None:
    path = tmp_path / "00.png"
    path.write_bytes(saved(Image.new("RGB", (8, 8)), form))
    with pytest.raises(DataError, match=r"cannot read .*00\.png: expected an image \(PNG, .*got a"):
        read_picture(path, "RGB")


def test_a_program_called_png_starts_no_other_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = tmp_path / "called"
    ghost = tmp_path / "bin" / "gs"
    ghost.parent.mkdir()
    ghost.write_text(f"#!/bin/sh\ntouch {called}\necho 10.0\n")
    ghost.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ghost.parent}{os.pathsep}{os.environ['PATH']}")
    path = tmp_path / "00.png"
    path.write_bytes(POSTSCRIPT)
    for source in (path, POSTSCRIPT):
        with pytest.raises(DataError, match=r"a file that begins with b'%!PS-Ado'"):
            read_picture(source, "RGB")
    assert not called.exists()


@pytest.mark.parametrize(
    ("side", "told"),
    [(8_200, "the file claims 8200x8200"), (10_000, "could be decom"), (60_000, "could be decom")],
)
def test_an_image_of_too_many_pixels_is_refused_unread(side: int, told: str) -> None:
    """The file has no pixels at all, so the claim must have been looked at first."""
    claim = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + claim + struct.pack(">I", zlib.crc32(b"IHDR" + claim))
    content = b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT"
    with pytest.raises(DataError, match=rf"row 7: expected at most 67,108,864 pixels.*{told}"):
        read_picture(content, "RGB", "row 7")


@pytest.mark.parametrize("kept", [0, 7, 40, 60])
def test_a_file_that_was_cut_short_is_refused(noise: Any, kept: int) -> None:
    with pytest.raises(DataError, match=r"^cannot read row 7: .*; replace it or take it away$"):
        read_picture(saved(Image.fromarray(noise), "PNG")[:kept], "RGB", "row 7")


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", tmp_path):
        with pytest.raises(DataError, match="expected a file, got a folder or a device"):
            read_picture(path, "RGB")
    with pytest.raises(DataError, match=r"gone\.png: No such file"):
        read_picture(tmp_path / "gone.png", "RGB")


def test_names_of_images(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    names = ("a.JPG", "a.jfif", "a.gif", "a.heic", "a.eps", "png", "folder.png")
    assert [n for n in names if is_picture_file(tmp_path / n)] == ["a.JPG", "a.jfif", "a.gif"]
