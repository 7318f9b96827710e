from __future__ import annotations

import hashlib
import io
import json
import pickle
from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from benchbd.api import DataError
from benchbd_zoo.dataset.cifar10 import CIFAR10

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
ROWS = numpy.random.default_rng(0).integers(0, 256, (13, 3072), dtype=numpy.uint8)
"""Two images for each of five training batches, three for the test batch."""


@pytest.fixture
def folder(tmp_path, monkeypatch, write_pickle, torchvision_datasets):
    """A genuine layout with a tiny content, whose md5 is taken for the published one."""
    base = tmp_path / "cifar-10-batches-py"
    train = [
        (
            f"data_batch_{k}",
            write_pickle(
                base / f"data_batch_{k}", {"data": ROWS[2 * k - 2 : 2 * k], "labels": [k, k + 1]}
            ),
        )
        for k in range(1, 6)
    ]
    test = write_pickle(base / "test_batch", {"data": ROWS[10:], "labels": [9, 0, 4]})
    names = write_pickle(base / "batches.meta", {"label_names": NAMES})
    genuine = torchvision_datasets.CIFAR10
    monkeypatch.setattr(genuine, "train_list", train)
    monkeypatch.setattr(genuine, "test_list", [("test_batch", test)])
    monkeypatch.setattr(genuine, "meta", genuine.meta | {"md5": names})
    return tmp_path


def test_batches_become_one_training_split(folder):
    train = CIFAR10(path=folder).load("train")
    assert train.images.shape == (10, 3, 32, 32)
    assert train.labels.tolist() == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6]
    assert train.class_names == tuple(NAMES)


def test_test_split(folder):
    test = CIFAR10(path=folder).load("test")
    assert len(test) == 3
    assert test.labels.tolist() == [9, 0, 4]


def test_a_row_holds_red_then_green_then_blue_row_by_row(folder):
    images = CIFAR10(path=folder).load("train").images
    assert images.is_contiguous()
    assert images[7, 0, 0, 31] == ROWS[7, 31]
    assert images[7, 1, 2, 3] == ROWS[7, 1024 + 2 * 32 + 3]
    assert images[7, 2, 31, 0] == ROWS[7, 2048 + 31 * 32]


def test_missing_data_names_folder_and_command(tmp_path):
    with pytest.raises(DataError) as caught:
        CIFAR10(path=tmp_path).load("train")
    assert str(tmp_path / "cifar-10-batches-py") in str(caught.value)
    assert (
        f"`benchbd run --dataset cifar10 --set dataset.download=true --set dataset.path={tmp_path}`"
        in str(caught.value)
    )


@pytest.mark.parametrize("name", ["data_batch_1", "data_batch_5", "test_batch", "batches.meta"])
def test_a_tampered_file_is_refused_and_not_unpickled(folder, bomb, name):
    file = folder / "cifar-10-batches-py" / name
    file.write_bytes(pickle.dumps(bomb))
    for split in ("train", "test"):
        with pytest.raises(DataError, match="not the genuine files"):
            CIFAR10(path=folder).load(split)
    assert not bomb.proof.exists()


def test_the_bomb_of_the_test_above_would_go_off(folder, bomb, monkeypatch, torchvision_datasets):
    file = folder / "cifar-10-batches-py" / "test_batch"
    file.write_bytes(pickle.dumps(bomb))
    trusted = [("test_batch", hashlib.md5(file.read_bytes()).hexdigest())]
    monkeypatch.setattr(torchvision_datasets.CIFAR10, "test_list", trusted)
    with pytest.raises(DataError):
        CIFAR10(path=folder).load("test")
    assert Path(bomb.proof).exists()


def test_a_limit_takes_the_first_of_each_class_in_turn(folder):
    train = CIFAR10(path=folder, limit_per_class=1).load("train")
    assert train.labels.tolist() == [1, 2, 3, 4, 5, 6]
    assert train.images[3, 0, 0, 0] == ROWS[5, 0]
    assert len(CIFAR10(path=folder, limit_per_class=1).load("test")) == 3


def test_parquet_of_the_hub_is_read_where_the_python_version_is_not(tmp_path):
    base = tmp_path / "cifar10"
    base.mkdir()
    features = {"img": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}
    for split, rows in (("train", ROWS[:10]), ("test", ROWS[10:])):
        pictures = []
        for row in rows:
            buffer = io.BytesIO()
            Image.fromarray(row.reshape(3, 32, 32).transpose(1, 2, 0)).save(buffer, format="png")
            pictures.append({"bytes": buffer.getvalue(), "path": None})
        table = pyarrow.table({"img": pictures, "label": [k % 5 for k in range(len(rows))]})
        meta = {"huggingface": json.dumps({"info": {"features": features}})}
        pyarrow.parquet.write_table(
            table.replace_schema_metadata(meta), base / f"{split}-00000-of-00001.parquet"
        )
    train = CIFAR10(path=tmp_path, limit_per_class=1).load("train")
    assert train.labels.tolist() == [0, 1, 2, 3, 4]
    assert train.class_names == tuple(NAMES)
    assert train.images[4].flatten().tolist() == ROWS[4].tolist()
    assert len(CIFAR10(path=tmp_path).load("test")) == 3
