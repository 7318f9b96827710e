from __future__ import annotations

import numpy
import pytest

from benchbd.api import DataError
from benchbd_zoo.dataset.mnist import MNIST

PIXELS = numpy.random.default_rng(2).integers(0, 256, (5, 28, 28), dtype=numpy.uint8)
LABELS = numpy.array([3, 9, 0, 1, 1], dtype=numpy.uint8)


@pytest.fixture
def folder(tmp_path, write_idx):
    for half, chosen in (("train", slice(0, 3)), ("t10k", slice(3, 5))):
        write_idx(tmp_path / f"MNIST/raw/{half}-images-idx3-ubyte", PIXELS[chosen])
        write_idx(tmp_path / f"MNIST/raw/{half}-labels-idx1-ubyte", LABELS[chosen])
    return tmp_path


@pytest.mark.parametrize(("split", "chosen"), [("train", slice(0, 3)), ("test", slice(3, 5))])
def test_images_are_grey_and_as_stored(folder, split, chosen):
    loaded = MNIST(path=folder).load(split)
    assert loaded.images.shape[1:] == (1, 28, 28)
    assert (loaded.images[:, 0].numpy() == PIXELS[chosen]).all()
    assert loaded.labels.tolist() == LABELS[chosen].tolist()


def test_ten_classes_in_the_order_of_the_digits(folder):
    names = MNIST(path=folder).load("train").class_names
    assert [name[0] for name in names] == list("0123456789")


def test_missing_data_names_folder_and_command(tmp_path):
    with pytest.raises(
        DataError,
        match=r"mnist: no data in .*MNIST/raw.*--dataset mnist --set dataset\.download=true",
    ):
        MNIST(path=tmp_path).load("test")


def test_a_file_cut_short_is_a_data_error(folder):
    file = folder / "MNIST/raw/train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match="MNIST/raw"):
        MNIST(path=folder).load("train")
