"""Labels as files have them, whole numbers or texts, brought to places in one list of classes.

What holds the files together are the names of the classes: a file whose own names stand in another
order gives the same classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import pyarrow
from numpy.typing import NDArray

from benchbd.api import DataError, DataNote, nearest
from benchbd_zoo.dataset.parts.class_order import ClassOrder, natural, ordered

Key = int | str


@dataclass(frozen=True)
class FileLabels:
    """The labels of one file. keys: each that occurs, a number or a text; codes: of every row (N,)
    its place among the keys; names: of the classes by number, where the file has them.
    """

    path: Path
    keys: tuple[Key, ...]
    codes: NDArray[numpy.int64]
    names: tuple[str, ...] | None

    @classmethod
    def read(cls, path: Path, column: Any, names: tuple[str, ...] | None) -> FileLabels:
        """From a column of pyarrow without gaps."""
        if pyarrow.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        encoded = column.combine_chunks().dictionary_encode()
        codes = numpy.from_dlpack(encoded.indices).astype(numpy.int64)
        return cls(path, tuple(encoded.dictionary.to_pylist()), codes, names)


@dataclass(frozen=True)
class LabelMap:
    """The classes of a data set by name, and the labels of its files in them."""

    who: str
    names: tuple[str, ...]
    known: tuple[str, ...] | None

    @classmethod
    def of(
        cls,
        who: str,
        train: Sequence[FileLabels],
        test: Sequence[FileLabels],
        order: ClassOrder | None,
    ) -> LabelMap:
        """The classes of both splits. Those without stored names are called like their labels.

        Raises `DataError` for labels of no class, with what to do, or for fewer than two classes.
        """
        both = [*train, *test]
        known = next((each.names for each in both if each.names is not None), None)
        if isinstance(order, tuple) and _numbers(both) <= set(order):
            known = None  # the person says what the numbers are
        names = known or _found(who, train, test, order)
        made = cls(who, ordered(who, names, order), known)
        if len(made.names) < 2:
            raise DataError(
                f"{who}: expected at least two classes, found {len(made.names)} in "
                f"{train[0].path}: {', '.join(made.names)}; choose another column with "
                "dataset.label_column"
            )
        return made

    def labels(self, files: Iterable[FileLabels]) -> NDArray[numpy.int64]:
        """The labels (N,) of the rows of all `files`, one after the other, as places in `names`."""
        place = {name: number for number, name in enumerate(self.names)}
        parts = [numpy.zeros(0, numpy.int64)]
        for file in files:
            named = [self._name(key, file) for key in file.keys]
            for name in named:
                if name not in place:
                    raise DataError(
                        f"{self.who}: the class {name!r} of {file.path} is none of the "
                        f"{len(place)} classes of the training split{nearest(name, place)}; give "
                        "both splits the same names"
                    )
            parts.append(numpy.array([place[name] for name in named], numpy.int64)[file.codes])
        return numpy.concatenate(parts)

    def _name(self, key: Key, file: FileLabels) -> str:
        names = None if self.known is None else file.names or self.known
        if isinstance(key, str) or names is None:
            return str(key)
        if not 0 <= key < len(names):
            raise DataError(
                f"{self.who}: {file.path} has the label {key}, but names of classes for 0 to "
                f"{len(names) - 1}; {_remedy(file.keys)}"
            )
        return names[key]


def _found(
    who: str, train: Sequence[FileLabels], test: Sequence[FileLabels], order: ClassOrder | None
) -> tuple[str, ...]:
    """The classes of files without stored names: texts of the training split by name, or numbers of
    both.
    """
    numbers = sorted(int(text) for text in _numbers([*train, *test]))
    if not numbers:
        texts = {str(key) for file in train for key in file.keys}
        is_numeric = all(text.isdecimal() for text in texts)
        return tuple(sorted(texts, key=natural if is_numeric else None))
    if numbers[0] < 0 and not isinstance(order, tuple):
        raise DataError(
            f"{who}: found the label {numbers[0]}, which usually marks images without a label; "
            f"take these rows or files away (validation files are read where there are no test "
            f"files), or {_remedy(numbers)}"
        )
    if numbers != list(range(len(numbers))) and not isinstance(order, tuple):
        warnings.warn(
            f"{who}: the labels are {_listed(numbers)}; they become the classes 0 to "
            f"{len(numbers) - 1} in this order, under their own numbers as names",
            DataNote,
            stacklevel=4,
        )
    return tuple(map(str, numbers))


def _numbers(files: Iterable[FileLabels]) -> set[str]:
    """All labels that are whole numbers, as texts."""
    return {str(key) for file in files for key in file.keys if isinstance(key, int)}


def _remedy(keys: Sequence[Key]) -> str:
    return (
        "say which labels are classes, in their order: `--set dataset.class_order="
        f"[{_listed(sorted(keys, key=lambda key: natural(str(key))))}]`"
    )


def _listed(keys: Sequence[Key], shown: int = 12) -> str:
    return ", ".join(map(str, keys[:shown])) + (", ..." if len(keys) > shown else "")
