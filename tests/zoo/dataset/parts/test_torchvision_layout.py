from __future__ import annotations

import warnings
from urllib.error import URLError

import numpy
import pytest
import torch

from benchbd.api import DataError
from benchbd_zoo.dataset.mnist import MNIST


def test_unset_path_means_the_data_folder(tmp_path, monkeypatch, write_idx):
    monkeypatch.setenv("BENCHBD_DATA", str(tmp_path))
    for half in ("train", "t10k"):
        write_idx(
            tmp_path / f"MNIST/raw/{half}-images-idx3-ubyte",
            numpy.full((2, 28, 28), 7, numpy.uint8),
        )
        write_idx(
            tmp_path / f"MNIST/raw/{half}-labels-idx1-ubyte", numpy.array([4, 2], numpy.uint8)
        )
    assert MNIST().load("train").images.unique().tolist() == [7]


def test_a_remark_of_numpy_on_old_files_is_kept_from_the_reader(
    tmp_path, monkeypatch, torchvision_datasets
):
    def load(self):
        warnings.warn(
            "dtype(): align should be passed as a boolean but got 0", UserWarning, stacklevel=1
        )
        return torch.zeros(1, 28, 28, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)

    monkeypatch.setattr(torchvision_datasets.MNIST, "_check_exists", lambda self: True)
    monkeypatch.setattr(torchvision_datasets.MNIST, "_load_data", load)
    assert len(MNIST(path=tmp_path).load("train")) == 1


def test_the_command_for_the_data_folder_names_no_path(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHBD_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        MNIST().load("train")
    assert "`benchbd run --dataset mnist --set dataset.download=true` fetches" in str(caught.value)


def test_nothing_is_fetched_unasked(tmp_path, monkeypatch, torchvision_datasets):
    def refuse(self):
        raise AssertionError("tried to fetch")

    monkeypatch.setattr(torchvision_datasets.MNIST, "download", refuse)
    with pytest.raises(DataError) as caught:
        MNIST(path=tmp_path).load("train")
    assert "tried to fetch" not in str(caught.value)


def test_a_failed_download_says_why(tmp_path, monkeypatch, torchvision_datasets):
    def unreachable(self):
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision_datasets.MNIST, "download", unreachable)
    with pytest.raises(
        DataError,
        match=f"could not fetch .*{tmp_path}/MNIST/raw: .*no route to host.*check the network",
    ):
        MNIST(path=tmp_path, download=True).load("train")
