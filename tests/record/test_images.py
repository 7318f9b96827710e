"""Image sets as files: read back as they were, and no link out of their folder is followed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.errors import DataError
from benchbd.record.images import digest_of_splits, read_images, write_images


@pytest.fixture
def splits(images: ImageSet) -> tuple[ImageSet, ImageSet]:
    return images.subset(torch.arange(40)), images.subset(torch.arange(40, 60))


def test_both_splits_are_read_back(tmp_path: Path, splits: tuple[ImageSet, ImageSet]) -> None:
    stands_for = write_images(tmp_path, *splits)
    found = [read_images(tmp_path, split) for split in ("train", "test")]
    assert [each.fingerprint() for each in found] == [each.fingerprint() for each in splits]
    assert found[0].class_names == ("ant", "bee", "cat")
    assert stands_for == digest_of_splits(*found) and len(stands_for) == 64


def test_splits_in_each_others_place_are_others(splits: tuple[ImageSet, ImageSet]) -> None:
    train, test = splits
    assert digest_of_splits(train, test) != digest_of_splits(test, train)


def test_a_damaged_file_and_none_are_told(
    tmp_path: Path, splits: tuple[ImageSet, ImageSet]
) -> None:
    write_images(tmp_path, *splits)
    path = tmp_path / "train.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    (tmp_path / "test.safetensors").unlink()
    for split in ("train", "test"):
        with pytest.raises(DataError, match=f"the {split} images of this result cannot be read"):
            read_images(tmp_path, split)


def test_a_link_out_of_the_folder_is_not_followed(
    tmp_path: Path, splits: tuple[ImageSet, ImageSet]
) -> None:
    write_images(tmp_path / "elsewhere", *splits)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "train.safetensors").symlink_to(tmp_path / "elsewhere/train.safetensors")
    with pytest.raises(DataError, match="is a link that leaves its folder"):
        read_images(tmp_path / "here", "train")
