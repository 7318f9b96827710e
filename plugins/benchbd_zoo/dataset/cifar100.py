"""CIFAR-100 (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"): 32x32
colour photographs.

50,000 training and 10,000 test images, labelled with the hundred fine classes. In memory: 50,000 x
3,072 bytes = 154 MB and 31 MB, twice that while they are read.
"""

from __future__ import annotations

from benchbd_zoo.dataset.parts.torchvision_layout import TorchvisionLayout


class CIFAR100(TorchvisionLayout):
    """The Python version, in `cifar-100-python`."""

    # Pickles, like those of CIFAR-10: torchvision refuses, unread, every file whose md5 is not the
    # published one.

    api = 1
    source = "CIFAR100"
    folder = "cifar-100-python"
