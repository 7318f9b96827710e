from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from benchbd.api import ConfigError, DataError, DataNote
from benchbd_zoo.dataset.parquet import Parquet, first_of_each_class

IMAGE = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
LABELS = [2, 0, 0, 1, 2, 2]
NAMES = ["ant", "bee", "cat"]


def _png(level, size=(9, 8)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (level, 2 * level, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def _write(folder, split, labels, pictures=None, names=None, **more):
    """Rows in row groups of four; the red of an image is the number of its row."""
    pictures = pictures or [_png(row) for row in range(len(labels))]
    columns = {
        "img": pyarrow.array([{"bytes": picture, "path": None} for picture in pictures], IMAGE),
        "label": pyarrow.array(labels, pyarrow.int64()),
    }
    table = pyarrow.table(columns | {name: pyarrow.array(values) for name, values in more.items()})
    if names:
        table = table.replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": {"label": {"names": names}}}})}
        )
    pyarrow.parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet", row_group_size=4)


@pytest.fixture
def folder(tmp_path):
    _write(tmp_path, "train", LABELS, names=NAMES)
    _write(tmp_path, "test", [1, 1, 0], names=NAMES)
    return tmp_path


def _rows(loaded):
    return loaded.images[:, 0, 0, 0].tolist()


def test_images_keep_the_order_of_the_file(folder):
    train = Parquet(path=folder).load("train")
    assert train.image_shape == (3, 8, 9)
    assert _rows(train) == [0, 1, 2, 3, 4, 5]
    assert train.images[:, 1, 3, 4].tolist() == [0, 2, 4, 6, 8, 10]
    assert train.labels.tolist() == LABELS
    assert train.class_names == tuple(NAMES)


def test_test_split(folder):
    assert Parquet(path=folder).load("test").labels.tolist() == [1, 1, 0]


def test_limits_interleave_the_classes_and_leave_the_other_split_whole(folder):
    limited = Parquet(path=folder, limit_per_class=2)
    train = limited.load("train")
    # the first of each class are rows 1, 3, 0; the second of classes 0 and 2 are rows 2 and 4
    assert _rows(train) == [1, 3, 0, 2, 4]
    assert train.labels.tolist() == [0, 1, 2, 0, 2]
    assert len(limited.load("test")) == 3


def test_the_order_of_the_paths(tmp_path):
    """Files 2, 0 and 1 of class a and 1 and 0 of class b, shuffled; the first of each class are
    then those numbered 0.
    """
    paths = ["a/2.png", "b/1.png", "a/0.png", "b/0.png", "a/1.png"]
    for split in ("train", "test"):
        _write(tmp_path, split, [0, 1, 0, 1, 0])
        place = tmp_path / f"{split}-00000-of-00001.parquet"
        table = pyarrow.parquet.read_table(place)
        rows = [
            {"bytes": row["bytes"], "path": path}
            for row, path in zip(table["img"].to_pylist(), paths, strict=True)
        ]
        pyarrow.parquet.write_table(
            table.set_column(0, "img", pyarrow.array(rows, IMAGE)), place, row_group_size=2
        )
    assert _rows(Parquet(path=tmp_path, by_path=True).load("train")) == [2, 4, 0, 3, 1]
    assert _rows(Parquet(path=tmp_path, by_path=True, limit_per_class=2).load("train")) == [
        2,
        3,
        4,
        1,
    ]
    assert _rows(Parquet(path=tmp_path, limit_per_class=1).load("train")) == [0, 1]


def test_without_paths_there_is_no_order_of_paths(folder):
    with pytest.raises(DataError, match="6 images of img have no path"):
        Parquet(path=folder, by_path=True).load("train")


def test_limit_of_the_test_split(folder):
    limited = Parquet(path=folder, test_limit_per_class=1)
    assert limited.load("test").labels.tolist() == [0, 1]
    assert len(limited.load("train")) == 6


def test_first_of_each_class_without_limit_is_everything():
    assert first_of_each_class(numpy.array([4, 4, 1]), None).tolist() == [0, 1, 2]


def test_numbers_stand_in_for_names_and_agree_between_splits(tmp_path):
    _write(tmp_path, "train", [0, 2])
    _write(tmp_path, "test", [1, 0])
    for split in ("train", "test"):
        assert Parquet(path=tmp_path).load(split).class_names == ("0", "1", "2")


def test_two_label_columns_must_be_told_apart(tmp_path):
    for split in ("train", "test"):
        _write(tmp_path, split, [0, 1], fine=[5, 6], coarse=[7, 8])
        place = tmp_path / f"{split}-00000-of-00001.parquet"
        pyarrow.parquet.write_table(pyarrow.parquet.read_table(place).drop(["label"]), place)
    with pytest.raises(
        DataError,
        match=r"one column as label_column, found fine, coarse in .*dataset\.label_column=NAME",
    ):
        Parquet(path=tmp_path).load("train")
    chosen = Parquet(path=tmp_path, label_column="coarse").load("train")
    assert (chosen.labels.tolist(), chosen.class_names) == ([0, 1], ("7", "8"))


def test_the_column_with_names_of_classes_is_the_labels(tmp_path):
    _write(tmp_path, "train", [0, 1], names=["a", "b"], coarse=[5, 6])
    _write(tmp_path, "test", [1, 0], names=["a", "b"], coarse=[5, 6])
    assert Parquet(path=tmp_path).load("train").class_names == ("a", "b")


@pytest.mark.parametrize(("labels", "names"), [([1, 2, 3], "123"), ([0, 5, 2], "025")])
def test_labels_with_gaps_are_numbered_anew_and_that_is_said(tmp_path, labels, names):
    for split in ("train", "test"):
        _write(tmp_path, split, labels)
    with pytest.warns(DataNote, match="they become the classes 0 to 2 in this order"):
        train = Parquet(path=tmp_path).load("train")
    assert train.class_names == tuple(names)
    assert [train.class_names[label] for label in train.labels] == list(map(str, labels))


def test_images_without_labels_are_refused_or_a_class_on_demand(tmp_path):
    _write(tmp_path, "train", [1, -1])
    _write(tmp_path, "test", [-1, 1])
    with pytest.raises(DataError, match=r"the label -1, which.*class_order=\[-1, 1\]"):
        Parquet(path=tmp_path).load("train")
    two = Parquet.from_text(path=str(tmp_path), class_order="[-1, 1]")
    assert [two.load(split).labels.tolist() for split in ("train", "test")] == [[1, 0], [0, 1]]


def test_labels_beyond_the_names_are_refused_or_named_on_demand(tmp_path):
    for split in ("train", "test"):
        _write(tmp_path, split, [1, 2, 3], names=NAMES)
    with pytest.raises(DataError, match=r"label 3, .* 0 to 2; .*class_order=\[1, 2, 3\]"):
        Parquet(path=tmp_path).load("train")
    told = Parquet.from_text(path=str(tmp_path), class_order="[1, 2, 3]")
    assert told.load("train").labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", [pyarrow.string(), pyarrow.dictionary(pyarrow.int8(), "string")])
def test_texts_are_classes_by_name(tmp_path, kind):
    for split, labels in (("train", ["cat", "ant", "cat"]), ("test", ["cat", "ant"])):
        _write(tmp_path, split, [0] * len(labels))
        place = tmp_path / f"{split}-00000-of-00001.parquet"
        table = pyarrow.parquet.read_table(place)
        texts = pyarrow.array(labels, pyarrow.string()).cast(kind)
        pyarrow.parquet.write_table(table.set_column(1, "label", texts), place)
    halves = [Parquet(path=tmp_path).load(split) for split in ("train", "test")]
    assert [half.labels.tolist() for half in halves] == [[1, 0, 1], [1, 0]]
    assert halves[0].class_names == ("ant", "cat")


def test_a_text_that_no_training_image_has_is_refused(tmp_path):
    _write(tmp_path, "train", [0, 1], names=["ant", "cat"])
    _write(tmp_path, "test", [0, 1], names=["ant", "dog"])
    with pytest.raises(DataError, match=r"the class 'dog' of .*test-.* is none of the 2 classes"):
        Parquet(path=tmp_path).load("test")


def test_names_hold_the_splits_together(tmp_path):
    _write(tmp_path, "train", LABELS, names=NAMES)
    _write(tmp_path, "test", [0, 1, 2], names=NAMES[::-1])
    test = Parquet(path=tmp_path).load("test")
    assert (test.class_names, test.labels.tolist()) == (tuple(NAMES), [2, 1, 0])


def test_one_class_is_refused(tmp_path):
    _write(tmp_path, "train", [0, 0])
    _write(tmp_path, "test", [0])
    with pytest.raises(DataError, match="expected at least two classes, found 1"):
        Parquet(path=tmp_path).load("train")


def test_a_test_split_without_labels_is_named(folder):
    place = folder / "test-00000-of-00001.parquet"
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(place).drop(["label"]), place)
    with pytest.raises(DataError, match=r"column 'label' in .*test-00000.*, found img"):
        Parquet(path=folder).load("test")


def test_without_test_files_a_share_is_held_out_and_that_is_said(tmp_path):
    _write(tmp_path, "train", [k % 2 for k in range(20)])
    with pytest.warns(DataNote, match="20% of each class are held out"):
        train, test = (Parquet(path=tmp_path).load(split) for split in ("train", "test"))
    assert (train.labels.bincount().tolist(), test.labels.bincount().tolist()) == ([8, 8], [2, 2])
    assert sorted(_rows(train) + _rows(test)) == list(range(20))
    assert len(Parquet(path=tmp_path, limit_per_class=3).load("train")) == 6


def test_broken_images_are_left_out_when_asked(tmp_path):
    pictures = [b"broken" if row in (0, 5) else _png(row) for row in range(6)]
    _write(tmp_path, "train", LABELS, pictures, NAMES)
    _write(tmp_path, "test", [0], names=NAMES)
    with pytest.raises(DataError, match=r"2 images cannot be read:(?s:.*)row 0 (?s:.*)row 5 "):
        Parquet(path=tmp_path).load("train")
    train = Parquet(path=tmp_path, skip_broken=True).load("train")
    assert (_rows(train), train.labels.tolist()) == ([1, 2, 3, 4], LABELS[1:5])


def test_an_image_column_that_is_none(folder):
    with pytest.raises(DataError, match="expected 'label' as image_column, found img"):
        Parquet(path=folder, image_column="label").load("train")


def test_no_image_column_at_all(tmp_path):
    table = pyarrow.table({"label": pyarrow.array([1]), "text": pyarrow.array(["a"])})
    pyarrow.parquet.write_table(table, tmp_path / "train-0.parquet")
    with pytest.raises(DataError, match="one column as image_column, found none among label, text"):
        Parquet(path=tmp_path).load("train")


def test_other_sizes_are_refused_across_row_groups_unless_size_is_set(tmp_path):
    _write(tmp_path, "train", LABELS, [*(_png(row) for row in range(5)), _png(5, (20, 30))], NAMES)
    _write(tmp_path, "test", [0], names=NAMES)
    with pytest.raises(DataError, match=r"8x9 pixels .* but the image in row 5 .* has 30x20"):
        Parquet(path=tmp_path).load("train")
    scaled = Parquet(path=tmp_path, size=16, grey=True).load("train")
    assert scaled.images.shape == (6, 1, 16, 16)


def test_a_broken_image_is_named_by_row_and_file(tmp_path):
    _write(tmp_path, "train", LABELS, [*(_png(row) for row in range(5)), _png(5)[:40]], NAMES)
    with pytest.raises(
        DataError, match=r"cannot read the image in row 5 .*train-00000-of-00001\.parquet"
    ):
        Parquet(path=tmp_path).load("train")


def test_path_is_required():
    with pytest.raises(ConfigError, match="parquet: expected path"):
        Parquet().load("train")


@pytest.mark.skipif(
    "BENCHBD_SHARED" not in os.environ,
    reason="needs CIFAR-10 as parquet in $BENCHBD_SHARED/data/cifar10",
)
def test_cifar10_from_the_hub():
    folder = Path(os.environ["BENCHBD_SHARED"]) / "data/cifar10"
    train, test = Parquet(path=folder).load("train"), Parquet(path=folder).load("test")
    assert train.images.shape == (50_000, 3, 32, 32)
    assert train.labels.bincount().tolist() == [5_000] * 10
    assert test.labels.bincount().tolist() == [1_000] * 10
    assert (
        " ".join(train.class_names) == "airplane automobile bird cat deer dog frog horse ship truck"
    )
    assert [round(value, 2) for value in train.statistics()[0]] == [0.49, 0.48, 0.45]
