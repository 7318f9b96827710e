"""UCI optical digits: 1,797 real handwritten digits of 8x8 pixels, shipped inside scikit-learn."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from benchbd.api import DataSet, ImageSet, Split, param, to_uint8
from benchbd_zoo.dataset.stratified_split import held_out

TEST_SHARE = 0.2


class Digits(DataSet):
    """The set has no split of its own: one fifth of every class, drawn once and for all, is the test split."""

    api = 1

    size: int = param(16, "side of the square images in pixels; the 8x8 originals are upscaled", ge=8, le=64)

    def load(self, split: Split) -> ImageSet:
        digits = load_digits()
        labels = torch.from_numpy(digits.target).long()
        originals = torch.from_numpy(digits.images).float()[:, None] * (255 / 16)
        images = to_uint8(F.interpolate(originals, (self.size, self.size), mode="bilinear", align_corners=False))
        chosen = held_out(labels, TEST_SHARE)
        if split == "train":
            chosen = ~chosen
        return ImageSet(images[chosen], labels[chosen], tuple(str(digit) for digit in range(10)))
