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


class DataSet(Plugin, ABC):
    """A source of labelled images; its parameters say where they lie and how they are read."""

    kind: ClassVar[str] = "dataset"

    @abstractmethod
    def load(self, split: Split) -> ImageSet:
        """One split: images uint8 (N, C, H, W), labels (N,), class names. Raises `DataError`."""

    def beside(self, folder: Path) -> Self:
        """This data set for the result in `folder`; of concern only where the images lie with the
        result.
        """
        return self


def data_dir() -> Path:
    """Where data sets lie: `BENCHBD_DATA`, or `data` in the current folder."""
    return Path(os.environ.get("BENCHBD_DATA", "data")).expanduser()


def require_folder(path: Path, who: str, remedy: str) -> Path:
    """`path` if it is a folder that can be read, else a `DataError` that says where was looked and
    what to do.
    """
    if not path.is_dir():
        raise DataError(f"{who}: no data in {path.absolute()}; {remedy}")
    return path
