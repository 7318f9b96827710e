"""Pictures of any format as one uint8 tensor: decoded, brought to one size and stacked, large ones
in threads.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchbd.api import DataError, DataNote, PixelMode, read_picture, room_for

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
    and ignores proportions. Pictures become RGB, or one channel if `grey`. Those that cannot be
    read are all named together, or left out and named if `skip_broken`.
    """

    def __init__(
        self,
        who: str,
        count: int,
        size: int | None = None,
        grey: bool = False,
        skip_broken: bool = False,
    ) -> None:
        self._who, self._count, self._size = who, count, size
        self._mode: PixelMode = "L" if grey else "RGB"
        self._skip_broken = skip_broken
        self._broken: dict[int, str] = {}
        self._images: Tensor | None = None
        self._threads = 1

    @property
    def images(self) -> Tensor:
        """uint8 (N, C, H, W) of those that were read. Raises `DataError` where there is none, or
        one is broken and none may be left out.
        """
        if self._broken:
            self._tell_broken()
        if self._images is None:
            raise DataError(f"{self._who}: found no image")
        return self._images[self.kept] if self._broken else self._images

    @property
    def kept(self) -> Tensor:
        """Which places (N,) bool hold an image that could be read."""
        kept = torch.ones(self._count, dtype=torch.bool)
        kept[list(self._broken)] = False
        return kept

    def _tell_broken(self) -> None:
        complaints = [self._broken[place] for place in sorted(self._broken)]
        if self._skip_broken:
            warnings.warn(
                f"{self._who}: {len(complaints)} broken images are left out: "
                + "; ".join(complaints),
                DataNote,
                stacklevel=3,
            )
            return
        if len(complaints) == 1:
            raise DataError(f"{self._who}: {complaints[0]}")
        raise DataError(
            "\n  ".join([f"{self._who}: {len(complaints)} images cannot be read:", *complaints])
            + "\nreplace them or take them away, or go on without them (`--set "
            "dataset.skip_broken=true`)"
        )

    def fill(self, places: Sequence[int], source: Source, named: Namer) -> None:
        """Put the picture in `source(k)`, a file or its bytes, at `places[k]` for every k;
        `named(k)` tells a person which one it is.
        """
        if self._images is None and not self._begin(places, source, named):
            return
        stack = self._begun.numpy()

        def fill_chunk(start: int) -> None:
            for k in range(start, min(start + CHUNK, len(places))):
                if (read := self._read(places[k], k, source, named)) is not None:
                    picture = self._pixels(read)
                    self._require_shape(picture.shape, stack.shape[1:], named(k))
                    stack[places[k]] = picture

        with ThreadPoolExecutor(self._threads) as pool:
            for _ in pool.map(fill_chunk, range(0, len(places), CHUNK)):
                pass

    def _begin(self, places: Sequence[int], source: Source, named: Namer) -> bool:
        """Make room for all, with the shape of the first picture once decoded; whether there is a
        picture that can be.
        """
        readable = (self._read(place, k, source, named) for k, place in enumerate(places))
        picture = next((read for read in readable if read is not None), None)
        if picture is None:
            return False
        self._images = room_for((self._count, *self._pixels(picture).shape))
        self._threads = 1 if picture.width * picture.height <= SMALL else torch.get_num_threads()
        return True

    @property
    def _begun(self) -> Tensor:
        assert self._images is not None
        return self._images

    def _read(self, place: int, k: int, source: Source, named: Namer) -> Image.Image | None:
        """The picture in `source(k)`; None for one that is broken, which is noted."""
        try:
            return read_picture(source(k), self._mode, named(k))
        except DataError as error:
            self._broken[place] = str(error)
            return None

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
