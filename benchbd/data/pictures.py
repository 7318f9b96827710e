"""The one reader of image files from strangers. It accepts a short list of formats and returns
upright images with 8 bits a channel.

Pillow tells formats by content and knows dozens of them; for some it starts other programs
(Ghostscript for PostScript). So nothing else in this package opens an image with Pillow, and a file
of any other format is refused, whatever its name. Of a file with several frames, the first one is
read.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import IO, Literal

import numpy
from PIL import Image, UnidentifiedImageError

from benchbd.errors import DataError

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "PPM", "WEBP")
"""The names that Pillow gives the formats. PPM stands for PBM, PGM and PNM as well, and JPEG for
MPO.
"""

PICTURE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png", ".pnm"}
    | {".ppm", ".tif", ".tiff", ".webp"}
)
"""Endings in small letters, by which folders are searched for images of these formats."""

MOST_PIXELS = 2**26
"""Most pixels of one image. A file of a few bytes can claim any number of them."""

PixelMode = Literal["L", "LA", "RGB", "RGBA"]
"""The channels of an image that is read: `"L"` for grey or `"RGB"` for red, green and blue; `"LA"`
and `"RGBA"` also say how opaque a pixel is.

>>> mode: PixelMode = "RGB"
"""

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The operation that turns an image upright, by its orientation in EXIF 2.32, section 4.6.4; 1 is
upright.
"""


def is_picture_file(path: Path) -> bool:
    """Return whether the name of a file ends like that of an image that can be read. A broken link
    counts as such a file, so that reading it reports the fault. A folder does not.

    >>> is_picture_file(Path("cat.JPG")), is_picture_file(Path("notes.txt"))
    (True, False)
    """
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.is_dir()


def read_picture(source: Path | bytes, mode: PixelMode, called: str = "") -> Image.Image:
    """Return the image in a file, or in the bytes of one, turned upright, with pixels of `mode`.

    16 bits a channel are scaled to 8. A mode without A takes the colours as they stand in the file,
    also those of transparent parts. called: what an error calls the image; without it, the path.
    Raises `DataError` for a file that cannot be read, is of another format or has more than 2**26
    pixels.

    >>> pixels = b"P5 2 1 255 " + bytes([0, 255])
    >>> list(read_picture(pixels, "L").tobytes())
    [0, 255]
    """
    name = called or (str(source) if isinstance(source, Path) else "the image")
    try:
        with _opened(source) as file:
            return _decoded(file, mode)
    except Exception as error:  # Pillow raises many kinds of errors for broken files
        raise DataError(
            f"cannot read {name}: {_reason(error)}; replace it or take it away"
        ) from None


def _opened(source: Path | bytes) -> IO[bytes]:
    if not isinstance(source, Path):
        return BytesIO(source)
    if source.exists() and not source.is_file():  # reading a pipe might never end
        raise ValueError("expected a file, got a folder or a device")
    return source.open("rb")


def _decoded(file: IO[bytes], mode: PixelMode) -> Image.Image:
    try:
        picture = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        file.seek(0)
        raise ValueError(
            f"expected an image ({', '.join(FORMATS)}), got a file that begins with "
            f"{file.read(8)!r}"
        ) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(f"expected at most {MOST_PIXELS:,} pixels; {error}") from None
    with picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise ValueError(
                f"expected at most {MOST_PIXELS:,} pixels, the file claims "
                f"{picture.width}x{picture.height}"
            )
        turn = _UPRIGHT.get(_orientation(picture))
        plain = _eight_bits(picture).convert(mode)
        return plain if turn is None else plain.transpose(turn)


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Return the image with at most 8 bits a channel. Pillow itself reduces colours of 16 bits to
    8.
    """
    if picture.mode[0] not in "IF":
        # A palette with entries of different transparency has to be converted in two steps.
        return picture.convert("RGBA") if "transparency" in picture.info else picture
    if picture.mode == "F" or (picture.mode == "I" and picture.format not in ("PNG", "PPM")):
        raise ValueError(
            f"expected 8 or 16 bits a channel, got pixels of mode {picture.mode!r}, of which "
            "nobody knows which value is white"
        )
    levels = numpy.asarray(picture).astype(numpy.int64)  # 65,535 is 255 times 257
    return Image.fromarray(((levels + 128) // 257).astype(numpy.uint8))


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # broken EXIF data is ignored, because the pixels are intact
        return 1


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
