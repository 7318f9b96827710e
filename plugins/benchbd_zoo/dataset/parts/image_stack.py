"""Pictures of any format as one uint8 tensor: decoded, brought to one size and stacked, large ones
in threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchbd.api import DataError, PixelMode, read_picture, room_for

CHUNK = 64
"""Pictures that a thread decodes in one go; small ones take less time than handing them out one by
one.
"""

SMALL = 64 * 64
"""Pictures of so few pixels are decoded in one thread: several would mostly wait for the
interpreter's lock.
"""

Source = Callable[[int], Path | bytes]
Namer = Callable[[int], str]


class ImageStack:
    """Room for `count` pictures of one shape: squares of side `size`, or the size that the first
    picture has.

    In memory or, where they are too large for it, in a file. Scaling is bilinear with antialiasing
    and ignores proportions. Pictures become RGB, or one channel if `grey`.
    """

    def __init__(self, who: str, count: int, size: int | None = None, grey: bool = False) -> None:
        self._who, self._count, self._size = who, count, size
        self._mode: PixelMode = "L" if grey else "RGB"
        self._images: Tensor | None = None
        self._threads = 1

    @property
    def images(self) -> Tensor:
        """uint8 (N, C, H, W)"""
        if self._images is None:
            raise DataError(f"{self._who}: found no image")
        return self._images

    def fill(self, places: Sequence[int], source: Source, named: Namer) -> None:
        """Put the picture in `source(k)`, a file or its bytes, at `places[k]` for every k;
        `named(k)` tells a person which one it is.
        """
        if not places:
            return
        stack = (self._begun(source, named) if self._images is None else self._images).numpy()

        def fill_chunk(start: int) -> None:
            for k in range(start, min(start + CHUNK, len(places))):
                picture = self._pixels(self._read(k, source, named))
                self._require_shape(picture.shape, stack.shape[1:], named(k))
                stack[places[k]] = picture

        with ThreadPoolExecutor(self._threads) as pool:
            for _ in pool.map(fill_chunk, range(0, len(places), CHUNK)):
                pass

    def _begun(self, source: Source, named: Namer) -> Tensor:
        """The empty stack (N, C, H, W), with the shape of the first picture once decoded."""
        picture = self._read(0, source, named)
        self._images = room_for((self._count, *self._pixels(picture).shape))
        self._threads = 1 if picture.width * picture.height <= SMALL else torch.get_num_threads()
        return self._images

    def _read(self, k: int, source: Source, named: Namer) -> Image.Image:
        try:
            return read_picture(source(k), self._mode, named(k))
        except DataError as error:
            raise DataError(f"{self._who}: {error}") from None

    def _pixels(self, picture: Image.Image) -> NDArray[numpy.uint8]:
        """(C, H, W)"""
        pixels = numpy.asarray(self._scaled(picture))
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)

    def _scaled(self, picture: Image.Image) -> Image.Image:
        if self._size is None:
            return picture
        return picture.resize((self._size, self._size), Image.Resampling.BILINEAR)

    def _require_shape(self, shape: tuple[int, ...], wanted: tuple[int, ...], name: str) -> None:
        if shape != wanted:
            raise DataError(
                f"{self._who}: expected all images to have {wanted[1]}x{wanted[2]} pixels (height "
                "x width) like the first, "
                f"but {name} has {shape[1]}x{shape[2]}; set size, the side of the squares to "
                "scale all to "
                "(for example `--set dataset.size=32`)"
            )
