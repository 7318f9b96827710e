from __future__ import annotations

import pickle

import numpy
import pytest

from benchbd.api import DataError
from benchbd_zoo.dataset.cifar100 import CIFAR100

ROWS = numpy.random.default_rng(1).integers(0, 256, (6, 3072), dtype=numpy.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch, write_pickle, torchvision_datasets):
    base = tmp_path / "cifar-100-python"
    train = write_pickle(
        base / "train",
        {"data": ROWS[:4], "fine_labels": [99, 0, 7, 7], "coarse_labels": [1, 2, 3, 3]},
    )
    test = write_pickle(
        base / "test", {"data": ROWS[4:], "fine_labels": [50, 3], "coarse_labels": [4, 4]}
    )
    fine = [f"fine {k}" for k in range(100)]
    names = write_pickle(
        base / "meta", {"fine_label_names": fine, "coarse_label_names": ["coarse"] * 20}
    )
    genuine = torchvision_datasets.CIFAR100
    monkeypatch.setattr(genuine, "train_list", [("train", train)])
    monkeypatch.setattr(genuine, "test_list", [("test", test)])
    monkeypatch.setattr(genuine, "meta", genuine.meta | {"md5": names})
    return tmp_path


def test_labels_are_the_fine_ones(folder):
    train, test = CIFAR100(path=folder).load("train"), CIFAR100(path=folder).load("test")
    assert train.labels.tolist() == [99, 0, 7, 7]
    assert test.labels.tolist() == [50, 3]
    assert train.num_classes == 100
    assert train.class_names[99] == "fine 99"


def test_pixels(folder):
    images = CIFAR100(path=folder).load("test").images
    assert images.shape == (2, 3, 32, 32)
    assert images[1, 2, 5, 6] == ROWS[5, 2048 + 5 * 32 + 6]


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_tampered_file_is_refused_and_not_unpickled(folder, bomb, name):
    (folder / "cifar-100-python" / name).write_bytes(pickle.dumps(bomb))
    with pytest.raises(DataError, match="cifar-100-python, or not the genuine files"):
        CIFAR100(path=folder).load("train")
    assert not bomb.proof.exists()
