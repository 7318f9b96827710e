"""MNIST (LeCun, Cortes, Burges 1998): handwritten digits, 28x28 grey.

60,000 training and 10,000 test images of ten classes. In memory: 60,000 x 784 bytes = 47 MB and 8
MB.
"""

from __future__ import annotations

from benchbd_zoo.dataset.parts.torchvision_layout import TorchvisionLayout


class MNIST(TorchvisionLayout):
    """The four idx files, unpacked, in `MNIST/raw`."""

    api = 1
    source = "MNIST"
    folder = "MNIST/raw"
