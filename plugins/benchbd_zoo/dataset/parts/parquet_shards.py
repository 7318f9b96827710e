"""The parquet files of one split of an image-classification data set, as they lie on the Hugging
Face hub.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pyarrow.compute
import pyarrow.parquet
from numpy.typing import NDArray

from benchbd.api import DataError, Split, is_foreign
from benchbd_zoo.dataset.parts.label_map import FileLabels
from benchbd_zoo.dataset.parts.parquet_columns import class_names
from benchbd_zoo.dataset.parts.split_names import SplitName, split_name

DEEPEST = 3
"""Folders within folders in which files are looked for, as in CONFIG/SPLIT/0000.parquet."""


@dataclass(frozen=True)
class Encoded:
    """Images that lie in one row group: their encoded bytes, the rows they are of, and where they
    belong.
    """

    places: list[int]
    rows: list[int]
    pictures: list[bytes]
    path: Path


@dataclass(frozen=True)
class Shards:
    """One split, in the order of the names of its files; rows are counted through all of them."""

    who: str
    paths: tuple[Path, ...]

    @classmethod
    def find(cls, who: str, folder: Path, split: Split) -> Shards:
        """The files of a split: `SPLIT-*.parquet` or the files in a folder SPLIT, in `folder`, in
        `data` or in the one folder of a configuration; validation files where there are no test
        files. Raises `DataError` where there is none.
        """
        if (found := cls.look(who, folder, split)) is not None:
            return found
        raise DataError(
            f"{who}: no {split}-*.parquet in {folder.absolute()}, nor in its folder data; `hf "
            "download --repo-type dataset "
            "NAME --local-dir FOLDER` fetches a data set, and dataset.path says in which of its "
            "folders these files are"
        )

    @classmethod
    def look(cls, who: str, folder: Path, split: Split) -> Shards | None:
        """The same, and None where there is none."""
        named = [(*_split_of(path, folder), path) for path in _parquet_files(folder)]
        own = [(place, name, path) for place, name, path in named if name and name.split == split]
        if not own and split == "train" and not any(name for _, name, _ in named):
            own = [(place, SplitName("train", 0, ""), path) for place, _, path in named]
        if not own:
            return None
        place = _one_place(who, {place for place, _, _ in own}, folder)
        here = [(name, path) for where, name, path in own if where == place]
        first = min(name.rank for name, _ in here)
        paths = sorted(path for name, path in here if name.rank == first)
        _require_complete(who, paths)
        return cls(who, tuple(paths))

    def schema(self, path: Path | None = None) -> Any:
        """The schema of one of the files; unset: of the first."""
        with self._opened(path or self.paths[0]) as file:
            return file.schema_arrow

    def labels(self, column: str) -> list[FileLabels]:
        """The labels of each file as they stand in it. Raises `DataError` for a file without that
        column, or with rows that have none.
        """
        found = []
        for path in self.paths:
            schema = self.schema(path)
            self._require_column(path, schema, column)
            with self._opened(path) as file:
                values = file.read([column]).column(column)
            if values.null_count:
                raise DataError(
                    f"{self.who}: {values.null_count} rows of {path} have no {column}; remove them"
                )
            found.append(FileLabels.read(path, values, class_names(schema, column)))
        return found

    def by_path(self, column: str) -> NDArray[numpy.int64]:
        """Rows (N,) sorted by the path that stands beside each image."""
        texts: list[str | None] = []
        for path in self.paths:
            self._require_column(path, self.schema(path), column)
            with self._opened(path) as file:
                if file.schema_arrow.field(column).type.get_field_index("path") < 0:
                    raise DataError(
                        f"{self.who}: {path} gives no path beside the images of {column}; leave "
                        "by_path out"
                    )
                texts += pyarrow.compute.struct_field(
                    file.read([f"{column}.path"]).column(column), "path"
                ).to_pylist()
        if None in texts:
            raise DataError(
                f"{self.who}: {texts.count(None)} images of {column} have no path; leave by_path "
                "out"
            )
        return numpy.argsort(numpy.array(texts, dtype=object), kind="stable").astype(numpy.int64)

    def encoded(self, column: str, rows: NDArray[numpy.int64]) -> Iterator[Encoded]:
        """The images of `rows` (M,), one row group in memory at a time; `places` are positions in
        `rows`.
        """
        order = numpy.argsort(rows, kind="stable")
        start = 0
        for path in self.paths:
            schema = self.schema(path)
            self._require_column(path, schema, column)
            field = schema.field(column).type
            inner = f"{column}.bytes" if pyarrow.types.is_struct(field) else column
            with self._opened(path) as file:
                for group in range(file.num_row_groups):
                    stop = start + file.metadata.row_group(group).num_rows
                    first, last = numpy.searchsorted(rows, [start, stop], sorter=order)
                    places, start, offset = order[first:last], stop, start
                    if len(places):
                        pictures = _bytes_of(
                            file.read_row_group(group, [inner]), rows[places] - offset
                        )
                        yield Encoded(places.tolist(), rows[places].tolist(), pictures, path)

    def _require_column(self, path: Path, schema: Any, column: str) -> None:
        if column not in schema.names:
            raise DataError(
                f"{self.who}: expected the column {column!r} in {path}, found "
                f"{', '.join(schema.names)}; give all files of the data set the same columns, or "
                "take this one away"
            )

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Any]:
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                yield file
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(
                f"{self.who}: cannot read {path}: {error}; fetch the file anew"
            ) from error


def _bytes_of(table: Any, rows: NDArray[numpy.int64]) -> list[bytes]:
    places = pyarrow.Array.from_buffers(
        pyarrow.int64(), len(rows), [None, pyarrow.py_buffer(rows)]
    )  # array() would load pandas
    column = table.column(0)
    if pyarrow.types.is_struct(column.type):
        column = pyarrow.compute.struct_field(column, "bytes")
    return [picture or b"" for picture in column.take(places).to_pylist()]


def _parquet_files(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.rglob("*.parquet"))
        if len(parts := path.relative_to(folder).parts) <= DEEPEST
        and not any(map(is_foreign, parts))
    ]


def _split_of(path: Path, root: Path) -> tuple[Path, SplitName | None]:
    """The folder that holds the splits, and which of them a file belongs to, by its own name or by
    that of its folder.
    """
    if (name := split_name(path.stem)) is not None:
        return path.parent, name
    if path.parent != root and (name := split_name(path.parent.name)) is not None:
        return path.parent.parent, name
    return path.parent, None


def _one_place(who: str, places: set[Path], root: Path) -> Path:
    """The least deep folder with files of a split; of several, the one called data."""
    least = min(len(place.parts) for place in places)
    nearest = sorted(place for place in places if len(place.parts) == least)
    if len(nearest) == 1:
        return nearest[0]
    if root / "data" in nearest:
        return root / "data"
    raise DataError(
        f"{who}: {root} has several sets of parquet files: "
        f"{', '.join(place.name for place in nearest)}; name one of these folders as dataset.path"
    )


def _require_complete(who: str, paths: list[Path]) -> None:
    """Refuse a part of a split: shards say in their names how many they are."""
    announced = {int(match[1]) for path in paths if (match := re.search(r"-of-(\d+)", path.name))}
    if announced and announced != {len(paths)}:
        raise DataError(
            f"{who}: expected {' or '.join(map(str, sorted(announced)))} files like {paths[0]}, "
            "as their names say, "
            f"found {len(paths)}; fetch the missing ones or remove the surplus"
        )
