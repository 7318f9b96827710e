from __future__ import annotations

import pytest

from benchbd_zoo.dataset.parts.split_names import split_name


@pytest.mark.parametrize(
    ("name", "split", "prefix"),
    [
        ("train", "train", ""),
        ("Training", "train", ""),
        ("trainset", "train", ""),
        ("TrainSet", "train", ""),
        ("train-00000-of-00002", "train", ""),
        ("Final_Test", "test", "final"),
        ("imgs_valid", "test", ""),
        ("VALIDATION", "test", ""),
        ("testing data", "test", ""),
    ],
)
def test_usual_names(name: str, split: str, prefix: str) -> None:
    found = split_name(name)
    assert found is not None and (found.split, found.prefix) == (split, prefix)


@pytest.mark.parametrize("name", ["cat", "trainer", "contest", "devil", "evaluated", "0", ""])
def test_names_of_something_else(name: str) -> None:
    assert split_name(name) is None


def test_test_goes_before_validation() -> None:
    found = [split_name(name) for name in ("val", "test", "dev", "testing")]
    assert sorted(filter(None, found)) == [found[1], found[3], found[0], found[2]]
