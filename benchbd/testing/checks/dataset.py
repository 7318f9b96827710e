"""Checks of data sets: they give whole splits as tensors, the same at every call, and their test
images are not training images.
"""

from __future__ import annotations

import torch

from benchbd.api import DataSet, ImageSet, Split
from benchbd.testing.check import check, require
from benchbd.testing.subject import Subject
from benchbd.testing.trial import load_split


@check("smoke", DataSet)
def splits_agree(subject: Subject) -> None:
    """Both splits hold images of one shape and the same classes."""
    train, test = _load(subject, "train"), _load(subject, "test")
    require(
        bool(len(train) and len(test)),
        f"expected images in both splits, got {len(train)} and {len(test)}",
    )
    require(
        train.image_shape == test.image_shape,
        f"train has {train.image_shape}, test has {test.image_shape}",
    )
    require(
        train.class_names == test.class_names,
        "train and test name other classes, or in another order",
    )
    require(len(set(train.class_names)) == train.num_classes, "a class name stands twice")


@check("smoke", DataSet)
def loading_is_deterministic(subject: Subject) -> None:
    """A split is the same at every call, byte for byte."""
    first, second = (_load(subject, "train").fingerprint() for _ in range(2))
    require(
        first == second,
        "two loads of the training split differ; nothing about a data set is drawn at load time",
    )


@check("smoke", DataSet)
def test_is_not_train(subject: Subject) -> None:
    """Few test images are training images: at most one in twenty."""
    train, test = (_rows(_load(subject, split).images) for split in ("train", "test"))
    shared = len(train & test)
    require(
        shared <= 0.05 * len(test), f"{shared} of {len(test)} test images are training images, too"
    )


def _load(subject: Subject, split: Split) -> ImageSet:
    return load_split(subject.plugin_as(DataSet), split)


def _rows(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}
