"""CIFAR-10 (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"): 32x32 colour photographs.

50,000 training and 10,000 test images of ten classes. In memory: 50,000 x 3,072 bytes = 154 MB and 31 MB, twice
that while they are read.
"""

from __future__ import annotations

from benchbd_zoo.dataset.torchvision_layout import TorchvisionLayout


class CIFAR10(TorchvisionLayout):
    """The Python version, in `cifar-10-batches-py`."""

    # The files are pickles. torchvision compares the md5 of every batch with the published one before it opens the
    # first, and that of the file of names before it opens that; a file that differs is refused unread.

    api = 1
    source = "CIFAR10"
    folder = "cifar-10-batches-py"
