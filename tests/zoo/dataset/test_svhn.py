from __future__ import annotations

import hashlib

import numpy
import pytest
import scipy.io

from benchbd.api import DataError
from benchbd_zoo.dataset.svhn import SVHN

PIXELS = numpy.random.default_rng(4).integers(0, 256, (32, 32, 3, 5), dtype=numpy.uint8)
"""(H, W, C, N), as in the files"""
DIGITS = numpy.array([[1], [10], [9], [10], [4]], dtype=numpy.uint8)
"""The files write 10 for the digit 0."""


@pytest.fixture
def folder(tmp_path, monkeypatch, torchvision_datasets):
    listed = {}
    for split, chosen in (("train", slice(0, 3)), ("test", slice(3, 5))):
        file = tmp_path / f"{split}_32x32.mat"
        scipy.io.savemat(file, {"X": PIXELS[..., chosen], "y": DIGITS[chosen]})
        listed[split] = ["", file.name, hashlib.md5(file.read_bytes()).hexdigest()]
    monkeypatch.setattr(torchvision_datasets.SVHN, "split_list", listed)
    return tmp_path


def test_the_digit_zero_has_label_zero(folder):
    assert SVHN(path=folder).load("train").labels.tolist() == [1, 0, 9]
    assert SVHN(path=folder).load("test").labels.tolist() == [0, 4]
    assert SVHN(path=folder).load("test").class_names == tuple("0123456789")


def test_axes_are_turned(folder):
    images = SVHN(path=folder).load("test").images
    assert images.shape == (2, 3, 32, 32)
    assert images.is_contiguous()
    assert images[1, 2, 7, 30] == PIXELS[7, 30, 2, 4]


def test_a_changed_file_is_refused(folder):
    with (folder / "train_32x32.mat").open("ab") as file:
        file.write(b"more")
    with pytest.raises(DataError, match=r"svhn: no data in .*, or not the genuine files"):
        SVHN(path=folder).load("train")
