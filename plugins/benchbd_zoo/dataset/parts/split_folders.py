"""Where the class folders of each split lie in a folder that somebody unpacked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchbd.api import DataError, is_foreign
from benchbd_zoo.dataset.parts.split_names import SplitName, split_name

Named = list[tuple[SplitName, Path]]


@dataclass(frozen=True)
class SplitFolders:
    """train, test: the folders of the class folders; test is none where a share of the training
    images has to be held out. unused: folders of splits that are not read.
    """

    train: Path
    test: Path | None
    unused: tuple[Path, ...] = ()

    @classmethod
    def find(cls, who: str, root: Path) -> SplitFolders:
        """The splits in `root`, or in the one folder that lies around all. Raises `DataError` for
        split folders that hold no training images by class.
        """
        folder = root
        while (found := _splits_in(who, folder)) is None and (inner := _only_inner(folder)):
            folder = inner
        return cls(folder, None) if found is None else found


def subfolders(folder: Path) -> list[Path]:
    """The folders in `folder`, by name, but for hidden ones and those that file servers leave."""
    return sorted(
        entry for entry in folder.iterdir() if entry.is_dir() and not is_foreign(entry.name)
    )


def _splits_in(who: str, folder: Path) -> SplitFolders | None:
    """The splits that lie side by side in `folder`; None where its folders are something else."""
    children = subfolders(folder)
    named = [(name, child) for child in children if (name := split_name(child.name)) is not None]
    trains = sorted(each for each in named if each[0].split == "train")
    others = [child for child in children if child not in [path for _, path in named]]
    for name, train in trains:
        beside = [each for each in named if each[1] != train and each[0].prefix == name.prefix]
        tests = sorted(each for each in beside if each[0].split == "test")
        if tests:
            return _found(who, train, tests)
        if not name.prefix and not others and subfolders(train):
            return SplitFolders(_unwrapped(train), None)
    if named and not others and not trains and all(subfolders(path) for _, path in named):
        raise DataError(
            f"{who}: {folder} has {_names(named)} and no folder of training images; add one called "
            "train, or name one of these as dataset.path to have a share of it held out"
        )
    return None


def _found(who: str, train: Path, tests: Named) -> SplitFolders:
    inner = _unwrapped(train)
    classes = {path.name for path in subfolders(inner)}
    if not classes:
        raise DataError(
            f"{who}: expected one folder for each class in {train.absolute()}, found none; put the "
            "images of each class into a folder called like it"
        )
    by_class = [path for _, path in tests if subfolders(path)]
    test = _unwrapped(by_class[0], classes) if by_class else None
    used = by_class[:1]
    return SplitFolders(inner, test, tuple(path for _, path in tests if path not in used))


def _unwrapped(split: Path, classes: Sequence[str] | set[str] = ()) -> Path:
    """The folder of the class folders: `split`, or the one folder in it, as in train/train or
    train/images. classes: names that are no such folder.
    """
    while (inner := _only_inner(split)) and inner.name not in classes:
        split = inner
    return split


def _only_inner(folder: Path) -> Path | None:
    """The one folder in `folder`, if that has folders itself."""
    inside = subfolders(folder)
    return inside[0] if len(inside) == 1 and subfolders(inside[0]) else None


def _names(named: Named) -> str:
    return " and ".join(sorted(path.name for _, path in named))
