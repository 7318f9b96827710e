"""Image-classification data sets in the layout of the Hugging Face hub: `train-*.parquet` and
`test-*.parquet`, or folders `train` and `test` of parquet files.

One column has the images, a struct of `bytes` (an image file of any format) and `path`; one has the
labels, whole numbers or texts. Class names stand in the metadata of the schema, else the labels are
the names. Where there are no test files, validation files are taken, else a share of the training
images is held out. In memory: images x channels x height x width bytes (CIFAR-10: 50,000 x 3,072
bytes = 154 MB and 31 MB), besides one row group of encoded images.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy
import torch
from numpy.typing import NDArray

from benchbd.api import DataError, DataNote, DataSet, ImageSet, Split, param
from benchbd_zoo.dataset.parts.class_order import MEANING, ClassOrder
from benchbd_zoo.dataset.parts.given_folder import given_folder
from benchbd_zoo.dataset.parts.image_stack import ImageStack
from benchbd_zoo.dataset.parts.label_map import LabelMap
from benchbd_zoo.dataset.parts.parquet_columns import image_columns, label_columns, likely_labels
from benchbd_zoo.dataset.parts.parquet_shards import Encoded, Shards
from benchbd_zoo.dataset.parts.stratified_split import held_out


class Parquet(DataSet):
    """Images keep the order of the files, or, where a limit is set, are interleaved: first of each
    class, second of each, ...
    """

    api = 1

    path: Path | None = param(
        None, "folder with the parquet files, or with a folder data of them; must be given"
    )
    size: int | None = param(
        None,
        "side in pixels of the squares to scale to; unset: all images must have one size",
        ge=8,
    )
    test_share: float = param(
        0.2, "share of every class that is the test split where there are no test files", gt=0, lt=1
    )
    grey: bool = param(False, "one channel instead of three")
    limit_per_class: int | None = param(
        None, "take only the first so many training images of each class", ge=1
    )
    test_limit_per_class: int | None = param(
        None, "take only the first so many test images of each class", ge=1
    )
    by_path: bool = param(
        False, "take images in the order of the paths that their files had, not in that of the rows"
    )
    image_column: str | None = param(None, "column of the images; unset: the one struct with bytes")
    label_column: str | None = param(
        None, "column of the labels; unset: the one with names of classes, else with whole numbers"
    )
    class_order: ClassOrder | None = param(
        None, f"{MEANING}; unset: that of the stored names, else of the labels"
    )
    skip_broken: bool = param(False, "leave images that cannot be read out, instead of refusing")

    def load(self, split: Split) -> ImageSet:
        folder = given_folder(self.path, self.name)
        train = Shards.find(self.name, folder, "train")
        test = Shards.look(self.name, folder, "test")
        schema = train.schema()
        image = self._column("image_column", image_columns(schema), image_columns(schema), train)
        label = self._column("label_column", likely_labels(schema), label_columns(schema), train)
        files = {"train": train.labels(label), "test": test.labels(label) if test else []}
        classes = LabelMap.of(self.name, files["train"], files["test"], self.class_order)
        shards = train if test is None or split == "train" else test
        labels = classes.labels(files["train" if shards is train else "test"])
        order = shards.by_path(image) if self.by_path else numpy.arange(len(labels))
        if test is None:
            order = order[self._share(split, labels, train)[order]]
        limit = self.limit_per_class if split == "train" else self.test_limit_per_class
        rows = order[first_of_each_class(labels[order], limit)]
        stack = self._filled(shards, image, rows)
        images = stack.images
        return ImageSet(images, torch.from_numpy(labels[rows])[stack.kept], classes.names)

    def _column(
        self, parameter: str, likely: list[str], possible: list[str], shards: Shards
    ) -> str:
        """The column that was asked for, or the only one that may be meant."""
        wanted = getattr(self, parameter)
        if wanted is None and len(likely) == 1:
            return likely[0]
        if wanted in possible:
            return str(wanted)
        found = ", ".join(likely) or f"none among {', '.join(shards.schema().names)}"
        raise DataError(
            f"parquet: expected {repr(wanted) if wanted else 'one column'} as {parameter}, found "
            f"{found} in {shards.paths[0]}; choose with `--set dataset.{parameter}=NAME`"
        )

    def _share(
        self, split: Split, labels: NDArray[numpy.int64], train: Shards
    ) -> NDArray[numpy.bool_]:
        """Which training rows (N,) are the split, where there are no test files."""
        warnings.warn(
            f"parquet: no test files beside {train.paths[0]}; {self.test_share:.0%} of each class "
            "are held out as the test split (dataset.test_share)",
            DataNote,
            stacklevel=3,
        )
        chosen: NDArray[numpy.bool_] = held_out(torch.from_numpy(labels), self.test_share).numpy()
        if not chosen.any() or chosen.all():
            raise DataError(
                f"parquet: a test_share of {self.test_share} leaves one split without images; "
                "change it, or add images"
            )
        return chosen if split == "test" else ~chosen

    def _filled(self, shards: Shards, column: str, rows: NDArray[numpy.int64]) -> ImageStack:
        stack = ImageStack(self.name, len(rows), self.size, self.grey, self.skip_broken)
        for encoded in shards.encoded(column, rows):
            _fill(stack, encoded)
        return stack


def first_of_each_class(labels: NDArray[numpy.int64], limit: int | None) -> NDArray[numpy.int64]:
    """Rows (M,) in the order of the files, or the first `limit` of each class sorted by number
    within the class, then class.
    """
    if limit is None:
        return numpy.arange(len(labels))
    by_class = numpy.argsort(labels, kind="stable")
    _, starts, counts = numpy.unique(labels[by_class], return_index=True, return_counts=True)
    number = numpy.arange(len(labels)) - numpy.repeat(starts, counts)
    order = numpy.lexsort((labels[by_class], number))
    return by_class[order[number[order] < limit]]


def _fill(stack: ImageStack, encoded: Encoded) -> None:
    stack.fill(
        encoded.places,
        lambda k: encoded.pictures[k],
        lambda k: (
            f"the image in row {encoded.rows[k]} (from 0, through all files) in {encoded.path}"
        ),
    )
