"""Data sets of torchvision, read by its own classes from its own folder layouts."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any, ClassVar

import torch

from benchbd.api import DataError, DataSet, ImageSet, Split, data_dir, param, prepare_torchvision

BROKEN = (AssertionError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""What torchvision's readers raise for files that are missing, not genuine or cannot be fetched."""


class TorchvisionLayout(DataSet):
    """A subclass names a class of `torchvision.datasets`, its folder below `path`, and how it is
    told the split.

    `image_set` reads arrays (N, H, W) or (N, H, W, C) called `data`; a subclass for another form
    writes its own.
    """

    source: ClassVar[str]
    folder: ClassVar[str] = ""
    splits: ClassVar[dict[Split, Any]] = {"train": True, "test": False}
    aside: ClassVar[tuple[str, ...]] = ("path", "download")

    path: Path | None = param(
        None, "folder that holds the data set's own folder; unset: the data folder"
    )
    download: bool = param(False, "fetch the files first when they are not there")

    def load(self, split: Split) -> ImageSet:
        try:
            return self.image_set(self._opened(split))
        except BROKEN as error:
            raise DataError(self._complaint(error)) from error

    def image_set(self, opened: Any) -> ImageSet:
        """The whole split that an instance of the torchvision class holds."""
        pixels = torch.as_tensor(opened.data)
        pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
        return ImageSet(pixels.contiguous(), torch.as_tensor(opened.targets), tuple(opened.classes))

    @property
    def _root(self) -> Path:
        return (self.path or data_dir()).expanduser()

    def _opened(self, split: Split) -> Any:
        prepare_torchvision()
        source = getattr(importlib.import_module("torchvision.datasets"), self.source)
        with warnings.catch_warnings():
            # The files of CIFAR hold 0 and 1 for False and True, on which NumPy 2.4.0 to 2.4.4
            # remark.
            warnings.filterwarnings("ignore", r"dtype\(\): align should be passed as")
            return source(self._root, self.splits[split], download=self.download)

    def _complaint(self, error: Exception) -> str:
        folder = (self._root / self.folder).absolute()
        if self.download:
            failure = f"could not fetch and read the data in {folder}: {error}"
            return f"{self.name}: {failure}; check the network, or put the files there by hand"
        where = f" --set dataset.path={self.path}" if self.path else ""
        command = f"benchbd run --dataset {self.name} --set dataset.download=true{where}"
        return (
            f"{self.name}: no data in {folder}, or not the genuine files ({error}); `{command}` "
            "fetches them"
        )
