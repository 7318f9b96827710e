"""UCI optical digits: 1,797 real handwritten digits of 8x8 pixels, shipped inside scikit-learn."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from benchbd.api import DataSet, ImageSet, Split, param, to_uint8

TEST_SHARE = 0.2
SPLIT_SEED = 0


class Digits(DataSet):
    """The set has no split of its own: one fifth of every class, drawn once and for all, is the test split."""

    api = 1

    size: int = param(16, "side of the square images in pixels; the 8x8 originals are upscaled", ge=8, le=64)

    def load(self, split: Split) -> ImageSet:
        digits = load_digits()
        labels = torch.from_numpy(digits.target).long()
        originals = torch.from_numpy(digits.images).float()[:, None] * (255 / 16)
        images = to_uint8(F.interpolate(originals, (self.size, self.size), mode="bilinear", align_corners=False))
        chosen = _test_places(labels)
        if split == "train":
            chosen = ~chosen
        return ImageSet(images[chosen], labels[chosen], tuple(str(digit) for digit in range(10)))


def _test_places(labels: torch.Tensor) -> torch.Tensor:
    """Which samples (N,) bool are test samples."""
    rng = torch.Generator().manual_seed(SPLIT_SEED)
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for digit in range(10):
        members = torch.nonzero(labels == digit)[:, 0]
        chosen[members[torch.randperm(len(members), generator=rng)[: round(TEST_SHARE * len(members))]]] = True
    return chosen
