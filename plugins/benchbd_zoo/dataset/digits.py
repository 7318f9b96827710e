"""UCI optical digits: 1,797 real handwritten digits of 8x8 pixels, shipped inside scikit-learn."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor

from benchbd.api import DataSet, ImageSet, Split, param, require_folder, to_uint8
from benchbd_zoo.dataset.parts.stratified_split import held_out

TEST_SHARE = 0.2


class Digits(DataSet):
    """The set has no split of its own: one fifth of every class, drawn once and for all, is the
    test split.
    """

    api = 1

    size: int = param(
        16, "side of the square images in pixels; the 8x8 originals are upscaled", ge=8, le=64
    )

    def load(self, split: Split) -> ImageSet:
        pixels, labels = _table().split([64, 1], 1)
        originals, labels = pixels.reshape(-1, 1, 8, 8).float() * (255 / 16), labels[:, 0]
        images = to_uint8(
            F.interpolate(originals, (self.size, self.size), mode="bilinear", align_corners=False)
        )
        chosen = held_out(labels, TEST_SHARE)
        if split == "train":
            chosen = ~chosen
        return ImageSet(images[chosen], labels[chosen], tuple(str(digit) for digit in range(10)))


def _table() -> Tensor:
    """(1797, 65): 64 grey levels from 0 to 16 and the digit, from scikit-learn's file; its code
    takes seconds to import.
    """
    package = find_spec("sklearn")
    home = Path(package.origin).parent if package and package.origin else Path("sklearn")
    folder = require_folder(
        home / "datasets" / "data",
        "digits",
        "they come with scikit-learn: pip install scikit-learn",
    )
    with gzip.open(folder / "digits.csv.gz") as file:
        return torch.from_numpy(numpy.loadtxt(file, delimiter=",", dtype=numpy.int64))
