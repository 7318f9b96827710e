from __future__ import annotations

import numpy

from benchbd_zoo.dataset.fashion_mnist import FashionMNIST

PIXELS = numpy.random.default_rng(3).integers(0, 256, (4, 28, 28), dtype=numpy.uint8)
LABELS = numpy.array([9, 0, 8, 5], dtype=numpy.uint8)


def test_layout_pixels_and_names(tmp_path, write_idx):
    for half in ("train", "t10k"):
        write_idx(tmp_path / f"FashionMNIST/raw/{half}-images-idx3-ubyte", PIXELS)
        write_idx(tmp_path / f"FashionMNIST/raw/{half}-labels-idx1-ubyte", LABELS)
    train = FashionMNIST(path=tmp_path).load("train")
    assert (train.images[:, 0].numpy() == PIXELS).all()
    assert [train.class_names[label] for label in train.labels] == [
        "Ankle boot",
        "T-shirt/top",
        "Bag",
        "Sandal",
    ]
