from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.api import DataError
from benchbd_zoo.dataset.parts.split_folders import SplitFolders, subfolders


def _folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("folders", "train", "test"),
    [
        (["train/a", "train/b", "test/a"], "train", "test"),
        (["a", "b"], ".", None),
        (["around/a", "around/b"], "around", None),
        (["__MACOSX/x", "x/Training/a", "x/Test/a"], "x/Training", "x/Test"),
        (["train/a", "train/b"], "train", None),
        (["x_train/a", "x_train/b", "x_test/a", "y_test/a"], "x_train", "x_test"),
        (["train/train/a", "train/train/b", "test/a/deeper"], "train/train", "test"),
        (["train/a", "train/b", "test", "val/a"], "train", "val"),
        (["train/deeper", "bus", "car"], ".", None),
    ],
)  # fmt: skip
def test_where_the_class_folders_lie(
    tmp_path: Path, folders: list[str], train: str, test: str | None
) -> None:
    found = SplitFolders.find("mine", _folders(tmp_path, *folders))
    assert found.train == tmp_path / train
    assert found.test == (tmp_path / test if test else None)


def test_splits_that_are_not_read_are_told(tmp_path: Path) -> None:
    found = SplitFolders.find("mine", _folders(tmp_path, "train/a", "train/b", "val/a", "test/a"))
    assert found.unused == (tmp_path / "val",)


@pytest.mark.parametrize(
    ("folders", "told"),
    [
        (["train", "test"], "one folder for each class in .*train, found none"),
        (["test/a", "val/a"], "has test and val and no folder of training images"),
    ],
)
def test_splits_without_classes_or_training_images(
    tmp_path: Path, folders: list[str], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        SplitFolders.find("mine", _folders(tmp_path, *folders))


def test_hidden_folders_are_no_classes(tmp_path: Path) -> None:
    folder = _folders(tmp_path, "b", ".cache", "@eaDir", "a")
    assert [each.name for each in subfolders(folder)] == ["a", "b"]
