from __future__ import annotations

import pytest
import safetensors.torch
import torch

from benchbd.errors import DataError
from benchbd.record.images import digest_of_splits, write_images
from benchbd_zoo.dataset.stored import Stored


def test_both_splits_come_back_from_the_folder_of_the_result(tmp_path, images):
    test = images.subset(torch.arange(5))
    name = write_images(tmp_path, images, test)
    data = Stored(images=name).beside(tmp_path)
    assert data.load("train").fingerprint() == images.fingerprint()
    assert data.load("test").fingerprint() == test.fingerprint()
    assert data.params == {"images": name} and name == digest_of_splits(
        images, test
    ) != digest_of_splits(test, images)


def test_without_a_result_there_are_no_images(tmp_path, images):
    write_images(tmp_path, images, images)
    with pytest.raises(DataError, match="give --result-file"):
        Stored().load("train")


@pytest.mark.parametrize("damage", ["cut", "no names", "no labels", "floats"])
def test_files_that_cannot_be_used(tmp_path, images, damage):
    write_images(tmp_path, images, images)
    path = tmp_path / "train.safetensors"
    tensors = {"images": images.images, "labels": images.labels}
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    elif damage == "no names":
        safetensors.torch.save_file(tensors, path)
    elif damage == "no labels":
        safetensors.torch.save_file(
            {"images": images.images}, path, {"class_names": '["ant", "bee", "cat"]'}
        )
    else:
        safetensors.torch.save_file(
            tensors | {"images": images.images.float()},
            path,
            {"class_names": '["ant", "bee", "cat"]'},
        )
    with pytest.raises(DataError):
        Stored().beside(tmp_path).load("train")
