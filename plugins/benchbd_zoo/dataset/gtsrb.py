"""GTSRB (Stallkamp et al. 2012, "Man vs. computer"): German traffic signs, colour photographs of
many sizes.

26,640 training and 12,630 test images of 43 classes. In memory at 32x32: 26,640 x 3,072 bytes = 82
MB and 39 MB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from benchbd.api import DataError, ImageSet, param
from benchbd_zoo.dataset.parts.image_stack import ImageStack
from benchbd_zoo.dataset.parts.torchvision_layout import TorchvisionLayout

SIGNS = (
    *(f"limit {speed} km/h" for speed in (20, 30, 50, 60, 70, 80)),
    "end of limit 80 km/h",
    "limit 100 km/h",
    "limit 120 km/h",
    "no overtaking",
    "no overtaking by lorries",
    "priority at next crossing",
    "priority road",
    "give way",
    "stop",
    "closed to vehicles",
    "closed to lorries",
    "no entry",
    "danger",
    "bend to left",
    "bend to right",
    "double bend",
    "uneven road",
    "slippery road",
    "road narrows on right",
    "road works",
    "traffic lights",
    "pedestrians",
    "children",
    "cyclists",
    "snow or ice",
    "wild animals",
    "end of all limits",
    "turn right ahead",
    "turn left ahead",
    "straight on",
    "straight on or right",
    "straight on or left",
    "keep right",
    "keep left",
    "roundabout",
    "end of no overtaking",
    "end of no overtaking by lorries",
)


class GTSRB(TorchvisionLayout):
    """The folders `gtsrb/GTSRB/Training` and `gtsrb/GTSRB/Final_Test`; all images are scaled to one
    size.
    """

    api = 1
    source = "GTSRB"
    folder = "gtsrb"
    splits = {"train": "train", "test": "test"}  # noqa: RUF012 - declared as a class variable by the base

    size: int = param(32, "side of the square images in pixels; proportions are not kept", ge=8)

    def image_set(self, opened: Any) -> ImageSet:
        files, labels = zip(*opened._samples, strict=True)
        # torchvision numbers the folders that it finds, so that one missing folder shifts the
        # labels of those after it.
        if set(labels) != set(range(len(SIGNS))):
            raise DataError(
                f"gtsrb: expected images of {len(SIGNS)} classes, got {len(set(labels))}; fetch "
                "the data set anew"
            )
        stack = ImageStack(self.name, len(files), self.size)
        stack.fill(range(len(files)), lambda k: Path(files[k]), lambda k: str(files[k]))
        return ImageSet(stack.images, torch.tensor(labels), SIGNS)
