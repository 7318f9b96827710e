"""CIFAR-10 (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"): 32x32 colour
photographs.

50,000 training and 10,000 test images of ten classes. In memory: 50,000 x 3,072 bytes = 154 MB and
31 MB, twice that while they are read.

Read from the Python version in `cifar-10-batches-py`, or from the parquet files of the Hugging Face
hub in `cifar10`. Publishers of the latter may have encoded the images anew; the fingerprint of the
images stands in every result.
"""

from __future__ import annotations

import torch

from benchbd.api import ImageSet, Split, param
from benchbd_zoo.dataset.parquet import Parquet, first_of_each_class
from benchbd_zoo.dataset.parts.torchvision_layout import TorchvisionLayout

HUB_FOLDER = "cifar10"


class CIFAR10(TorchvisionLayout):
    """With a limit, images are interleaved: first of each class, second of each, ..."""

    # The files of the Python version are pickles. torchvision compares the md5 of every batch with
    # the published one before it
    # opens the first, and that of the file of names before it opens that; a file that differs is
    # refused unread.

    api = 1
    source = "CIFAR10"
    folder = "cifar-10-batches-py"

    limit_per_class: int | None = param(
        None, "take only the first so many training images of each class", ge=1
    )
    test_limit_per_class: int | None = param(
        None, "take only the first so many test images of each class", ge=1
    )

    def load(self, split: Split) -> ImageSet:
        if not (self._root / self.folder).is_dir() and any(
            (self._root / HUB_FOLDER).glob("**/*.parquet")
        ):
            hub = Parquet(
                path=self._root / HUB_FOLDER,
                limit_per_class=self.limit_per_class,
                test_limit_per_class=self.test_limit_per_class,
            )
            return hub.load(split)
        images = super().load(split)
        limit = self.limit_per_class if split == "train" else self.test_limit_per_class
        return (
            images
            if limit is None
            else images.subset(torch.from_numpy(first_of_each_class(images.labels.numpy(), limit)))
        )
