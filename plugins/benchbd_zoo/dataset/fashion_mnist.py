"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, 1708.07747): articles of clothing, 28x28 grey.

60,000 training and 10,000 test images of ten classes. In memory: 60,000 x 784 bytes = 47 MB and 8
MB.
"""

from __future__ import annotations

from benchbd_zoo.dataset.parts.torchvision_layout import TorchvisionLayout


class FashionMNIST(TorchvisionLayout):
    """The four idx files, unpacked, in `FashionMNIST/raw`."""

    api = 1
    source = "FashionMNIST"
    folder = "FashionMNIST/raw"
