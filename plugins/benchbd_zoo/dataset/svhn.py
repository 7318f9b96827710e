"""SVHN (Netzer et al. 2011, "Reading Digits in Natural Images with Unsupervised Feature Learning"):
house numbers.

73,257 training and 26,032 test images of 32x32 colour pixels, ten digits. In memory: 73,257 x 3,072
bytes = 225 MB and 80 MB, twice that while they are read.
"""

from __future__ import annotations

from typing import Any

import torch

from benchbd.api import ImageSet
from benchbd_zoo.dataset.parts.torchvision_layout import TorchvisionLayout


class SVHN(TorchvisionLayout):
    """The cropped digits, `train_32x32.mat` and `test_32x32.mat`; the digit 0 has label 0."""

    api = 1
    source = "SVHN"
    splits = {"train": "train", "test": "test"}  # noqa: RUF012 - declared as a class variable by the base

    def image_set(self, opened: Any) -> ImageSet:
        images = torch.from_numpy(opened.data).contiguous()
        return ImageSet(
            images, torch.from_numpy(opened.labels), tuple(str(digit) for digit in range(10))
        )
