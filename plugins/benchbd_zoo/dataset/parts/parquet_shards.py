"""The parquet files of one split of an image-classification data set, as they lie on the Hugging
Face hub.
"""

from __future__ import annotations

import json
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

from benchbd.api import DataError, Split

PREFIXES: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "test": ("test", "validation", "valid", "val"),
}


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
        """`SPLIT-*.parquet` in the folder or in `data` below it; validation files where there are
        no test files.
        """
        for prefix in PREFIXES[split]:
            for place in (folder, folder / "data"):
                if paths := sorted(place.glob(f"{prefix}-*.parquet")):
                    _require_complete(who, paths)
                    return cls(who, tuple(paths))
        raise DataError(
            f"{who}: no {split}-*.parquet in {folder.absolute()}, nor in its folder data; `hf "
            "download --repo-type dataset "
            "NAME --local-dir FOLDER` fetches a data set, and dataset.path says in which of its "
            "folders these files are"
        )

    def schema(self) -> Any:
        with self._opened(self.paths[0]) as file:
            return file.schema_arrow

    def labels(self, column: str) -> NDArray[numpy.int64]:
        """(N,)"""
        parts = [numpy.zeros(0, numpy.int64)]
        for path in self.paths:
            with self._opened(path) as file:
                values = file.read([column]).column(column)
            if values.null_count:
                raise DataError(
                    f"{self.who}: {values.null_count} rows of {path} have no {column}; remove them"
                )
            parts += [
                numpy.from_dlpack(chunk).astype(numpy.int64) for chunk in values.chunks
            ]  # to_numpy() would load pandas
        return numpy.concatenate(parts)

    def by_path(self, column: str) -> NDArray[numpy.int64]:
        """Rows (N,) sorted by the path that stands beside each image."""
        texts: list[str | None] = []
        for path in self.paths:
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
            with self._opened(path) as file:
                for group in range(file.num_row_groups):
                    stop = start + file.metadata.row_group(group).num_rows
                    first, last = numpy.searchsorted(rows, [start, stop], sorter=order)
                    places, start, offset = order[first:last], stop, start
                    if len(places):
                        pictures = _bytes_of(
                            file.read_row_group(group, [f"{column}.bytes"]), rows[places] - offset
                        )
                        yield Encoded(places.tolist(), rows[places].tolist(), pictures, path)

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Any]:
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                yield file
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(
                f"{self.who}: cannot read {path}: {error}; fetch the file anew"
            ) from error


def image_columns(schema: Any) -> list[str]:
    """Columns with the images: structs of which one field is `bytes`."""
    return [
        c.name
        for c in schema
        if pyarrow.types.is_struct(c.type) and c.type.get_field_index("bytes") >= 0
    ]


def label_columns(schema: Any) -> list[str]:
    """Columns that may hold labels: whole numbers."""
    return [c.name for c in schema if pyarrow.types.is_integer(c.type)]


def class_names(schema: Any, column: str) -> tuple[str, ...] | None:
    """The names that the `datasets` library stored for a label column, if any."""
    try:
        names = json.loads(schema.metadata[b"huggingface"])["info"]["features"][column]["names"]
        return tuple(str(name) for name in names)
    except (KeyError, TypeError, ValueError):
        return None


def _bytes_of(table: Any, rows: NDArray[numpy.int64]) -> list[bytes]:
    places = pyarrow.Array.from_buffers(
        pyarrow.int64(), len(rows), [None, pyarrow.py_buffer(rows)]
    )  # array() would load pandas
    pictures: list[bytes] = (
        pyarrow.compute.struct_field(table.column(0), "bytes").take(places).to_pylist()
    )
    return pictures


def _require_complete(who: str, paths: list[Path]) -> None:
    """Refuse a part of a split: shards say in their names how many they are."""
    announced = {int(match[1]) for path in paths if (match := re.search(r"-of-(\d+)", path.name))}
    if announced and announced != {len(paths)}:
        raise DataError(
            f"{who}: expected {' or '.join(map(str, sorted(announced)))} files like {paths[0]}, "
            "as their names say, "
            f"found {len(paths)}; fetch the missing ones or remove the surplus"
        )
