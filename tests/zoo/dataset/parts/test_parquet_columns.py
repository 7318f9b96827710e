from __future__ import annotations

import json

import pyarrow
import pytest

from benchbd_zoo.dataset.parts.parquet_columns import (
    class_names,
    image_columns,
    label_columns,
    likely_labels,
)

IMAGE = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])


def test_columns_are_told_apart_by_type():
    plain = pyarrow.struct([("name", pyarrow.string())])
    schema = pyarrow.schema(
        [
            ("a", IMAGE),
            ("b", plain),
            ("c", pyarrow.uint8()),
            ("d", pyarrow.float32()),
            ("e", pyarrow.int64()),
        ]
    )
    assert image_columns(schema) == ["a"]
    assert label_columns(schema) == ["c", "e"]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (
            {
                "huggingface": '{"info": {"features": {"label": {"names": ["ant", "bee"], '
                '"_type": "ClassLabel"}}}}'
            },
            ("ant", "bee"),
        ),
        (
            {
                "huggingface": '{"info": {"features": {"label": {"dtype": "int64", "_type": '
                '"Value"}}}}'
            },
            None,
        ),
        ({"huggingface": '{"info": {"features": {"label": {"names": null}}}}'}, None),
        ({"huggingface": "broken"}, None),
        ({"pandas": "{}"}, None),
        (None, None),
    ],
)
def test_class_names(metadata, expected):
    schema = pyarrow.schema([("label", pyarrow.int64())], metadata)
    assert class_names(schema, "label") == expected


def _schema(metadata=None, **types):
    return pyarrow.schema(list(types.items()), metadata)


def test_bytes_alone_are_images_where_there_is_no_struct():
    assert image_columns(_schema(a=pyarrow.binary(), b=pyarrow.string())) == ["a"]
    assert image_columns(_schema(a=pyarrow.binary(), b=IMAGE)) == ["b"]


@pytest.mark.parametrize(
    ("types", "likely"),
    [
        ({"a": pyarrow.int64(), "idx": pyarrow.int64()}, ["a"]),
        ({"label": pyarrow.int64(), "other": pyarrow.int64()}, ["label"]),
        ({"a": pyarrow.int64(), "b": pyarrow.int64()}, ["a", "b"]),
        ({"a": pyarrow.string()}, ["a"]),
        ({"path": pyarrow.string(), "class": pyarrow.string()}, ["class"]),
        ({"label": pyarrow.dictionary(pyarrow.int32(), pyarrow.string())}, ["label"]),
        ({"id": pyarrow.int64()}, ["id"]),
        ({"a": pyarrow.float32()}, []),
    ],
)
def test_columns_that_are_meant_as_labels(types, likely):
    assert likely_labels(_schema(**types)) == likely


def test_names_of_classes_or_of_an_index_decide():
    types = {"a": pyarrow.int64(), "b": pyarrow.int64()}
    features = {"info": {"features": {"b": {"names": ["x", "y"]}}}}
    assert likely_labels(_schema({"huggingface": json.dumps(features)}, **types)) == ["b"]
    assert likely_labels(_schema({"pandas": '{"index_columns": ["b"]}'}, **types)) == ["a"]
