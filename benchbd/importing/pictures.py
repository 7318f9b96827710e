"""Image files as one uint8 tensor of one shape, and names that stay inside their folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import Tensor

from benchbd.data.pictures import read_picture
from benchbd.errors import DataError
from benchbd.victim.model import ImageShape


def read_pictures(paths: Sequence[Path], shape: ImageShape) -> Tensor:
    """Return pictures as uint8 (N, C, H, W) of `shape`. Larger or smaller ones are scaled, bilinear
    with antialiasing. Raises `DataError`, which names all those that cannot be read.
    """
    images, complaints = torch.empty((len(paths), *shape), dtype=torch.uint8), []
    for place, path in enumerate(paths):
        try:
            images[place] = _read(path, shape)
        except DataError as error:
            complaints.append(str(error))
    if len(complaints) > 1:
        heading = f"{len(complaints)} images cannot be read; replace them:"
        raise DataError("\n  ".join([heading, *complaints]))
    if complaints:
        raise DataError(complaints[0])
    return images


def scaled(images: Tensor, height: int, width: int) -> Tensor:
    """Return images (N, C, h, w) scaled to another size in the same way, or unchanged where they
    have it.
    """
    if tuple(images.shape[2:]) == (height, width):
        return images
    grown = torch.empty((*images.shape[:2], height, width), dtype=torch.uint8)
    for place, image in enumerate(images):
        picture = Image.fromarray(
            image[0].numpy() if len(image) == 1 else image.permute(1, 2, 0).numpy()
        )
        grown[place] = _pixels(picture.resize((width, height), Image.Resampling.BILINEAR))
    return grown


def _read(path: Path, shape: ImageShape) -> Tensor:
    picture = read_picture(path, "L" if shape[0] == 1 else "RGB")
    if (picture.height, picture.width) != shape[1:]:
        picture = picture.resize((shape[2], shape[1]), Image.Resampling.BILINEAR)
    return _pixels(picture)


def _pixels(picture: Image.Image) -> Tensor:
    """Return the pixels (C, H, W) of a picture."""
    pixels = torch.from_numpy(numpy.array(picture))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def inside(folder: Path, *parts: str) -> Path:
    """Return the file `parts` below `folder`. Raises `DataError` when a name or a link leads out of
    the folder.
    """
    path = folder.joinpath(*parts)
    plain = all(
        part not in ("", ".", "..") and "/" not in part and "\\" not in part and "\x00" not in part
        for part in parts
    )
    if not plain or not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"the name {'/'.join(parts)!r} leads out of {folder}; refused")
    return path
