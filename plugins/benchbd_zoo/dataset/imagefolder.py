"""Any directory of class folders: FOLDER/CLASS/IMAGE, or FOLDER/train/CLASS/IMAGE with FOLDER/test
(or val) beside it.

Class names are the names of the class folders in sorted order. Images lie in a class folder or in
folders below it. In memory: images x channels x height x width bytes; 10,000 colour images of 64x64
pixels take 123 MB.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from benchbd.api import DataError, DataSet, ImageSet, Split, is_picture_file, param
from benchbd_zoo.dataset.parts.given_folder import given_folder
from benchbd_zoo.dataset.parts.image_stack import ImageStack
from benchbd_zoo.dataset.parts.stratified_split import held_out

FOREIGN_FOLDERS = frozenset({"@eaDir", "__MACOSX"})
"""Small copies and notes that file servers and archives put beside images."""


class ImageFolder(DataSet):
    """What is hidden and files that are no images are passed over; a link that leaves the folder
    is refused.
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

    def load(self, split: Split) -> ImageSet:
        root = given_folder(self.path, self.name)
        train, test = _split_folders(root)
        names = _class_names(train)
        if test is not None and split == "test":
            _require_known(_class_names(test), names, test)
            files, labels = _listed(test, names, root)
        else:
            files, labels = _listed(train, names, root)
            _require_all(labels, names, train)
        if test is None:
            files, labels = self._share(split, files, labels)
        stack = ImageStack(self.name, len(files), self.size, self.grey)
        stack.fill(range(len(files)), lambda k: files[k], lambda k: str(files[k]))
        return ImageSet(stack.images, labels, names)

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


def _split_folders(root: Path) -> tuple[Path, Path | None]:
    """Folders of the training and the test split; where they are not apart, the root and none."""
    for name in ("test", "val"):
        if (root / "train").is_dir() and (root / name).is_dir():
            return root / "train", root / name
    return root, None


def _class_names(folder: Path) -> tuple[str, ...]:
    names = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".")
    )
    if not names:
        raise DataError(
            f"imagefolder: expected one folder for each class in {folder.absolute()}, found none"
        )
    return tuple(names)


def _require_known(found: tuple[str, ...], names: tuple[str, ...], folder: Path) -> None:
    for name in found:
        if name not in names:
            raise DataError(
                f"imagefolder: the class {name!r} of {folder} has no training images; add some or "
                "remove its folder"
            )


def _require_all(labels: Tensor, names: tuple[str, ...], folder: Path) -> None:
    for name, count in zip(
        names, torch.bincount(labels, minlength=len(names)).tolist(), strict=True
    ):
        if not count:
            raise DataError(
                f"imagefolder: expected images in {folder / name}, found none; add some or remove "
                "the folder"
            )


def _listed(folder: Path, names: tuple[str, ...], root: Path) -> tuple[list[Path], Tensor]:
    """Image files and labels (N,), class by class, sorted by path."""
    members = [_images_below(folder / name, root) for name in names]
    labels = [label for label, files in enumerate(members) for _ in files]
    return [file for files in members for file in files], torch.tensor(labels, dtype=torch.int64)


def _images_below(folder: Path, root: Path) -> list[Path]:
    _require_inside(folder, root)
    files = sorted(
        file
        for file in folder.rglob("*")
        if is_picture_file(file) and not any(map(_is_foreign, file.relative_to(folder).parts))
    )
    for file in files:
        if file.is_symlink():
            _require_inside(file, root)
    return files


def _is_foreign(name: str) -> bool:
    return name.startswith(".") or name in FOREIGN_FOLDERS


def _require_inside(path: Path, root: Path) -> None:
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(
            f"imagefolder: {path} is a link that leaves {root}, which is not followed; put a copy "
            "in its place"
        )
