"""Image-classification data sets in the layout of the Hugging Face hub: `train-*.parquet` and
`test-*.parquet`.

One column is a struct of `bytes` (an image file of any format) and `path`, one holds whole numbers
from 0, the labels; class names stand in the metadata of the schema, else the numbers are the names.
Where there are no test files, validation files are taken. In memory: images x channels x height x
width bytes (CIFAR-10: 50,000 x 3,072 bytes = 154 MB and 31 MB), besides one row group of encoded
images.
"""

from __future__ import annotations

from pathlib import Path

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchbd.api import DataError, DataSet, ImageSet, Split, param
from benchbd_zoo.dataset.parts.given_folder import given_folder
from benchbd_zoo.dataset.parts.image_stack import ImageStack
from benchbd_zoo.dataset.parts.parquet_shards import (
    Encoded,
    Shards,
    class_names,
    image_columns,
    label_columns,
)


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
        None, "column of the labels; unset: the one with whole numbers"
    )

    def load(self, split: Split) -> ImageSet:
        folder = given_folder(self.path, self.name)
        shards = Shards.find(self.name, folder, split)
        schema = shards.schema()
        image = self._column("image_column", image_columns(schema), schema.names)
        label = self._column("label_column", label_columns(schema), schema.names)
        labels = shards.labels(label)
        order = shards.by_path(image) if self.by_path else numpy.arange(len(labels))
        limit = self.limit_per_class if split == "train" else self.test_limit_per_class
        rows = order[first_of_each_class(labels[order], limit)]
        names = class_names(schema, label) or self._numbers(folder, label)
        return ImageSet(self._images(shards, image, rows), torch.from_numpy(labels[rows]), names)

    def _column(self, parameter: str, candidates: list[str], columns: list[str]) -> str:
        """The column that was asked for, or the only one that may be meant."""
        wanted = getattr(self, parameter)
        if wanted is None and len(candidates) == 1:
            return candidates[0]
        if wanted in candidates:
            return str(wanted)
        found = ", ".join(candidates) or f"none among {', '.join(columns)}"
        raise DataError(
            f"parquet: expected {repr(wanted) if wanted else 'one column'} as {parameter}, found "
            f"{found}; "
            f"choose with `--set dataset.{parameter}=NAME`"
        )

    def _numbers(self, folder: Path, label: str) -> tuple[str, ...]:
        """Names for classes without names, the same for both splits."""
        splits: tuple[Split, Split] = ("train", "test")
        highest = max(
            int(Shards.find(self.name, folder, split).labels(label).max(initial=0))
            for split in splits
        )
        return tuple(str(number) for number in range(highest + 1))

    def _images(self, shards: Shards, column: str, rows: NDArray[numpy.int64]) -> Tensor:
        """(N, C, H, W)"""
        stack = ImageStack(self.name, len(rows), self.size, self.grey)
        for encoded in shards.encoded(column, rows):
            _fill(stack, encoded)
        return stack.images


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
