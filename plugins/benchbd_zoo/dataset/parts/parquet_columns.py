"""Which columns of a table hold the images and the labels, by their types, names and metadata."""

from __future__ import annotations

import json
from typing import Any

import pyarrow

USUAL_LABELS = ("label", "labels", "class", "target", "category", "class_id", "class_name")
INDEXES = ("index", "idx", "id", "image_id", "row", "unnamed: 0", "__index_level_0__")
"""Names of columns, in small letters: of labels, and of numbers that only count the rows."""


def image_columns(schema: Any) -> list[str]:
    """Columns with the images: structs of which one field is `bytes`; where there is none, bytes
    alone.
    """
    structs = [
        c.name
        for c in schema
        if pyarrow.types.is_struct(c.type) and c.type.get_field_index("bytes") >= 0
    ]
    return structs or [
        c.name
        for c in schema
        if pyarrow.types.is_binary(c.type) or pyarrow.types.is_large_binary(c.type)
    ]


def label_columns(schema: Any) -> list[str]:
    """Columns that can hold labels: whole numbers, then texts."""
    numbers = [c.name for c in schema if pyarrow.types.is_integer(_values(c.type))]
    texts = [
        c.name
        for c in schema
        if pyarrow.types.is_string(_values(c.type))
        or pyarrow.types.is_large_string(_values(c.type))
    ]
    return [*numbers, *texts]


def likely_labels(schema: Any) -> list[str]:
    """Columns that are meant as labels: the ones with names of classes; else whole numbers that do
    not count the rows, else texts, of which those with a usual name go first.
    """
    columns = label_columns(schema)
    if named := [name for name in columns if class_names(schema, name)]:
        return named
    numbers = [
        name for name in columns if pyarrow.types.is_integer(_values(schema.field(name).type))
    ]
    numbers = [name for name in numbers if not _is_index(schema, name)] or numbers
    found = numbers or columns
    return [name for name in found if name.lower() in USUAL_LABELS] or found


def class_names(schema: Any, column: str) -> tuple[str, ...] | None:
    """The names that the `datasets` library stored for a label column, if any."""
    try:
        names = json.loads(schema.metadata[b"huggingface"])["info"]["features"][column]["names"]
        return tuple(str(name) for name in names)
    except (KeyError, TypeError, ValueError):
        return None


def _values(kind: Any) -> Any:
    """The type of the values in a column, which may stand in a table of their own."""
    return kind.value_type if pyarrow.types.is_dictionary(kind) else kind


def _is_index(schema: Any, name: str) -> bool:
    try:
        listed = json.loads(schema.metadata[b"pandas"])["index_columns"]
    except (KeyError, TypeError, ValueError):
        listed = []
    return name in listed or name.lower() in INDEXES
