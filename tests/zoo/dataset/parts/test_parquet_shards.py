from __future__ import annotations

import numpy
import pyarrow
import pyarrow.parquet
import pytest

from benchbd.api import DataError
from benchbd_zoo.dataset.parts.parquet_shards import Shards

IMAGE = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])


def _write(path, start, count, group=2):
    """Rows `start`, `start` + 1, ...: image bytes b"row <number>", label number % 3."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = range(start, start + count)
    table = pyarrow.table(
        {
            "image": pyarrow.array(
                [{"bytes": b"row %d" % n, "path": None} for n in numbers], IMAGE
            ),
            "label": pyarrow.array([n % 3 for n in numbers], pyarrow.int64()),
        }
    )
    pyarrow.parquet.write_table(table, path, row_group_size=group)


@pytest.fixture
def shards(tmp_path):
    """Two files of five and four rows, in row groups of two."""
    _write(tmp_path / "train-00000-of-00002.parquet", 0, 5)
    _write(tmp_path / "train-00001-of-00002.parquet", 5, 4)
    return Shards.find("mine", tmp_path, "train")


def _labels(shards, column="label"):
    return [file.keys[code] for file in shards.labels(column) for code in file.codes]


def test_rows_are_counted_through_all_files(shards):
    assert _labels(shards) == [0, 1, 2, 0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("rows", [list(range(9)), [8, 0, 4, 5], [3], [6, 7]])
def test_pictures_come_back_to_their_places(shards, rows):
    found = {}
    for encoded in shards.encoded("image", numpy.array(rows)):
        assert len(encoded.places) <= 2
        found |= dict(
            zip(encoded.places, zip(encoded.rows, encoded.pictures, strict=True), strict=True)
        )
    assert found == {place: (row, b"row %d" % row) for place, row in enumerate(rows)}


def test_the_file_of_a_row_is_known(shards):
    (encoded,) = shards.encoded("image", numpy.array([7]))
    assert encoded.path.name == "train-00001-of-00002.parquet"


def test_a_missing_shard_is_noticed(shards):
    shards.paths[0].unlink()
    with pytest.raises(
        DataError, match=r"expected 2 files like .*train-00001-of-00002\.parquet.* found 1"
    ):
        Shards.find("mine", shards.paths[0].parent, "train")


def test_data_folder_and_validation_files(tmp_path):
    _write(tmp_path / "data/validation-00000-of-00001.parquet", 0, 1)
    assert _labels(Shards.find("mine", tmp_path, "test")) == [0]


def test_test_goes_before_validation(tmp_path):
    _write(tmp_path / "validation-00000-of-00001.parquet", 0, 1)
    _write(tmp_path / "test-00000-of-00001.parquet", 1, 1)
    assert _labels(Shards.find("mine", tmp_path, "test")) == [1]


def test_no_files(tmp_path):
    with pytest.raises(
        DataError,
        match=rf"mine: no train-\*\.parquet in {tmp_path}, nor in its folder data; `hf download",
    ):
        Shards.find("mine", tmp_path, "train")


def test_a_broken_file_is_named(shards):
    shards.paths[1].write_bytes(b"no parquet at all")
    with pytest.raises(DataError, match=r"mine: cannot read .*train-00001-of-00002\.parquet"):
        shards.labels("label")


def test_a_row_without_label_is_refused(tmp_path):
    table = pyarrow.table({"label": pyarrow.array([1, None, 0], pyarrow.int64())})
    pyarrow.parquet.write_table(table, tmp_path / "train-0.parquet")
    with pytest.raises(DataError, match=r"1 rows of .* have no label"):
        Shards.find("mine", tmp_path, "train").labels("label")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("default/train/0000.parquet", "default/test/0000.parquet"),
        ("train/0000.parquet", "validation/0000.parquet"),
        ("photos/train-0.parquet", "photos/test-0.parquet"),
        ("train.parquet", "Test.parquet"),
        ("data/train-0.parquet", "other/train-0.parquet"),
    ],
)
def test_files_are_found_as_hubs_lay_them_out(tmp_path, train, test):
    _write(tmp_path / train, 0, 1)
    _write(tmp_path / test, 1, 2)
    assert Shards.find("mine", tmp_path, "train").paths == (tmp_path / train,)
    if "other" not in test:
        assert Shards.find("mine", tmp_path, "test").paths == (tmp_path / test,)


def test_files_without_a_split_are_training_files(tmp_path):
    _write(tmp_path / "0000.parquet", 0, 3)
    assert _labels(Shards.find("mine", tmp_path, "train")) == [0, 1, 2]
    assert Shards.look("mine", tmp_path, "test") is None


def test_several_configurations_must_be_told_apart(tmp_path):
    for name in ("big", "small"):
        _write(tmp_path / name / "train/0000.parquet", 0, 1)
    with pytest.raises(DataError, match="several sets of parquet files: big, small; name one"):
        Shards.find("mine", tmp_path, "train")


def test_a_file_with_other_columns_is_named(shards):
    table = pyarrow.parquet.read_table(shards.paths[1]).rename_columns(["picture", "class"])
    pyarrow.parquet.write_table(table, shards.paths[1])
    with pytest.raises(DataError, match=r"column 'label' in .*00001.*, found picture, class"):
        shards.labels("label")
    with pytest.raises(DataError, match=r"column 'image' in .*00001.*, found picture, class"):
        list(shards.encoded("image", numpy.arange(9)))


def test_images_may_be_bytes_alone(tmp_path):
    table = pyarrow.table({"image": pyarrow.array([b"a", None, b"c"])})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    (encoded,) = Shards.find("mine", tmp_path, "train").encoded("image", numpy.arange(3))
    assert encoded.pictures == [b"a", b"", b"c"]
