"""The contract of data sets: whole splits as uint8 tensors."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Literal, Self

from benchbd.data.images import ImageSet
from benchbd.errors import DataError
from benchbd.plugin.plugin import Plugin

Split = Literal["train", "test"]
"""Which part of a data set is meant: `"train"` or `"test"`.

>>> split: Split = "train"
"""


class DataSet(Plugin, ABC):
    """A source of labelled images. It writes `load`; its parameters say where the images lie and
    how they are read.

    >>> class Grey(DataSet):
    ...     api = 1
    ...
    ...     def load(self, split):
    ...         count = 20 if split == "train" else 10
    ...         labels = torch.arange(count) % 2
    ...         images = (128 * labels).to(torch.uint8)[:, None, None, None].repeat(1, 1, 8, 8)
    ...         return ImageSet(images, labels, ("black", "grey"))
    >>> Grey().load("test").images.shape
    torch.Size([10, 1, 8, 8])
    """

    kind: ClassVar[str] = "dataset"

    @abstractmethod
    def load(self, split: Split) -> ImageSet:
        """Return one split: images uint8 (N, C, H, W), labels (N,) and the names of the classes.
        Two calls return the same images.

        A data set that is missing or broken raises `DataError` with what to do.
        """

    def beside(self, folder: Path) -> Self:
        """Return this data set for use with the result in `folder`. Only a data set whose images
        lie with the result overrides this; all others return themselves.
        """
        return self


def data_dir() -> Path:
    """Return the folder in which data sets lie: the one that the environment variable
    `BENCHBD_DATA` names, or `data` in the current folder.

    >>> data_dir().name
    'data'
    """
    return Path(os.environ.get("BENCHBD_DATA", "data")).expanduser()


def require_folder(path: Path, who: str, remedy: str) -> Path:
    """Return `path` if it is a folder. Otherwise raise a `DataError` that says `who` needs it,
    where the folder was expected, and the `remedy`.

    >>> require_folder(Path("nowhere"), "grey", "set BENCHBD_DATA to where the images lie")
    Traceback (most recent call last):
        ...
    benchbd.errors.DataError: grey: no data in .../nowhere; set BENCHBD_DATA ...
    """
    if not path.is_dir():
        raise DataError(f"{who}: no data in {path.absolute()}; {remedy}")
    return path
