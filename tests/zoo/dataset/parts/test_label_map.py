from __future__ import annotations

from pathlib import Path

import pyarrow
import pytest

from benchbd.api import DataError
from benchbd_zoo.dataset.parts.label_map import FileLabels, LabelMap


def _file(*labels, names=None):
    return FileLabels.read(Path("file"), pyarrow.chunked_array([labels]), names)


def test_each_file_is_read_by_its_own_names():
    first, second = _file(0, 1, 1, names=("a", "b")), _file(0, 1, names=("b", "a"))
    classes = LabelMap.of("mine", [first, second], [], None)
    assert (classes.names, classes.labels([first, second]).tolist()) == (
        ("a", "b"),
        [0, 1, 1, 1, 0],
    )


def test_numbers_in_one_file_follow_the_names_in_another():
    first, second = _file(1, 0, names=("a", "b")), _file(0, 1)
    classes = LabelMap.of("mine", [first], [second], None)
    assert classes.labels([second]).tolist() == [0, 1]


def test_texts_that_are_numbers_are_in_the_order_of_numbers():
    classes = LabelMap.of("mine", [_file("10", "2", "1")], [], None)
    assert classes.names == ("1", "2", "10")


def test_numbers_of_both_splits_are_classes():
    classes = LabelMap.of("mine", [_file(0, 2)], [_file(1, 0)], None)
    assert classes.names == ("0", "1", "2")


def test_another_name_is_told_with_the_nearest():
    classes = LabelMap.of("mine", [_file("cat", "dog")], [], None)
    with pytest.raises(DataError, match=r"'cats' of file is none .* did you mean 'cat'"):
        classes.labels([_file("cats")])
