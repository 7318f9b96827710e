"""Any directory of class folders: FOLDER/CLASS/IMAGE, or FOLDER/train/CLASS/IMAGE with FOLDER/test
beside it, under any usual names of the splits and with one folder around all.

Class names are the names of the class folders in sorted order, unless `class_order` has another.
Images lie in a class folder or in folders below it. In memory: images x channels x height x width
bytes; 10,000 colour images of 64x64 pixels take 123 MB.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchbd.api import (
    DataError,
    DataNote,
    DataSet,
    ImageSet,
    PicturesBelow,
    Split,
    counted_in_words,
    nearest,
    param,
    passed_over_beside,
)
from benchbd_zoo.dataset.parts.class_order import MEANING, ClassOrder, misplaced, ordered
from benchbd_zoo.dataset.parts.given_folder import given_folder
from benchbd_zoo.dataset.parts.image_stack import ImageStack
from benchbd_zoo.dataset.parts.split_folders import SplitFolders, subfolders
from benchbd_zoo.dataset.parts.stratified_split import held_out


class Listed(NamedTuple):
    """Images class by class, sorted by path: files, labels (N,), and what was passed over."""

    files: list[Path]
    labels: Tensor
    passed_over: Counter[str]


class ImageFolder(DataSet):
    """What is hidden and files that are no images are passed over, counted and named; a link that
    leaves the folder is refused.
    """

    api = 1

    path: Path | None = param(
        None, "folder with the class folders, or with train and test (or val); must be given"
    )
    size: int | None = param(
        None,
        "side in pixels of the squares to scale to; unset: all images must have one size",
        ge=8,
    )
    test_share: float = param(
        0.2, "share of every class that is the test split where there is no test folder", gt=0, lt=1
    )
    grey: bool = param(False, "one channel instead of three")
    class_order: ClassOrder | None = param(None, f"{MEANING}; unset: sorted by letters")
    skip_broken: bool = param(False, "leave images that cannot be read out, instead of refusing")

    def load(self, split: Split) -> ImageSet:
        root = given_folder(self.path, self.name)
        splits = SplitFolders.find(self.name, root)
        folders = _class_folders(splits.train)
        names = ordered(self.name, tuple(folders), self.class_order)
        _require_several(names, splits.train)
        own = splits.test is not None and split == "test"
        listed = self._listed(splits, own, names, root)
        self._tell(splits, names, listed)
        files, labels = listed.files, listed.labels
        if splits.test is None:
            files, labels = self._share(split, files, labels)
        stack = ImageStack(self.name, len(files), self.size, self.grey, self.skip_broken)
        stack.fill(range(len(files)), lambda k: files[k], lambda k: str(files[k]))
        return ImageSet(stack.images, labels[stack.kept], names)

    def _listed(
        self, splits: SplitFolders, own: bool, names: tuple[str, ...], root: Path
    ) -> Listed:
        """The images of the test folder if it is its `own`, else those of the training folder."""
        folder = splits.test if own and splits.test is not None else splits.train
        folders = _class_folders(folder)
        if own:
            _require_known(folders, names, folder)
        listed = _images(folder, folders, names, root)
        if not own:
            _require_all(listed, names, folders)
        return listed

    def _share(self, split: Split, files: list[Path], labels: Tensor) -> tuple[list[Path], Tensor]:
        chosen = held_out(labels, self.test_share)
        if split == "train":
            chosen = ~chosen
        if not chosen.any():
            raise DataError(
                f"imagefolder: a test_share of {self.test_share} leaves no image for the {split} "
                "split; change it, or add images"
            )
        return [file for file, taken in zip(files, chosen.tolist(), strict=True) if taken], labels[
            chosen
        ]

    def _tell(self, splits: SplitFolders, names: tuple[str, ...], listed: Listed) -> None:
        """Say what was decided without being asked."""
        if splits.test is None:
            _note(
                f"no folder of test images by class beside {splits.train}; {self.test_share:.0%} "
                "of each class are held out as the test split (dataset.test_share)"
            )
        for folder in splits.unused:
            _note(f"{folder} is not read; the test split is {splits.test or 'held out'}")
        if self.class_order is None and (pair := misplaced(names)):
            _note(
                f"classes are numbered in the order of the letters of their names, so {pair[0]} "
                f"comes before {pair[1]}; for the order of numbers, or another, set "
                "dataset.class_order (natural, a list or a file)"
            )
        if listed.passed_over:
            _note(f"files that were passed over: {counted_in_words(listed.passed_over)}")


def _note(text: str) -> None:
    warnings.warn(f"imagefolder: {text}", DataNote, stacklevel=4)


def _class_folders(folder: Path) -> dict[str, Path]:
    """The class folders in `folder` by the names of their classes; bytes that are no UTF-8 are
    written out, for a name must be a text wherever it is shown.
    """
    found = {
        os.fsencode(each.name).decode(errors="backslashreplace"): each
        for each in subfolders(folder)
    }
    if not found:
        raise DataError(
            f"imagefolder: expected one folder for each class in {folder.absolute()}, found none"
        )
    return found


def _require_several(names: tuple[str, ...], folder: Path) -> None:
    if len(names) < 2:
        raise DataError(
            f"imagefolder: expected at least two classes, found one in {folder}: {names[0]!r}; "
            "name the folder in which there is a folder for each class as dataset.path"
        )


def _require_known(found: dict[str, Path], names: tuple[str, ...], folder: Path) -> None:
    for name in found:
        if name not in names:
            raise DataError(
                f"imagefolder: the class {name!r} of {folder} has no training images; add some or "
                f"remove its folder{nearest(name, names)}"
            )


def _require_all(listed: Listed, names: tuple[str, ...], folders: dict[str, Path]) -> None:
    counts = torch.bincount(listed.labels, minlength=len(names)).tolist()
    for name, count in zip(names, counts, strict=True):
        if not count:
            others = PicturesBelow.find(folders[name]).passed_over
            among = f" among {counted_in_words(others)}" if others else ""
            raise DataError(
                f"imagefolder: expected images in {folders[name]}, found none{among}; add some or "
                "remove the folder"
            )


def _images(folder: Path, folders: dict[str, Path], names: tuple[str, ...], root: Path) -> Listed:
    """The images of each class in the order of `names`, and what lies beside them."""
    members = [_images_below(folders[name], root) if name in folders else None for name in names]
    found = [PicturesBelow([], Counter()) if each is None else each for each in members]
    labels = [label for label, each in enumerate(found) for _ in each.files]
    return Listed(
        [file for each in found for file in each.files],
        torch.tensor(labels, dtype=torch.int64),
        sum((each.passed_over for each in found), passed_over_beside(folder)),
    )


def _images_below(folder: Path, root: Path) -> PicturesBelow:
    _require_inside(folder, root)
    found = PicturesBelow.find(folder)
    for file in found.files:
        if file.is_symlink():
            _require_inside(file, root)
    return found


def _require_inside(path: Path, root: Path) -> None:
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(
            f"imagefolder: {path} is a link that leaves {root}, which is not followed; put a copy "
            "in its place"
        )
