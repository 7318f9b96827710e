from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.api import ConfigError
from benchbd_zoo.dataset.parts.class_order import listed, misplaced, natural, ordered


def test_numbers_in_names_count_as_numbers() -> None:
    names = ["a10", "b1", "a9", "10", "9"]
    assert sorted(names, key=natural) == ["a9", "a10", "b1", "9", "10"]


def test_the_first_pair_that_is_out_of_order() -> None:
    assert misplaced(["1", "10", "2", "20", "3"]) == ("10", "2")
    assert misplaced(["00001", "00002", "00010"]) is None


def test_nothing_said_changes_nothing() -> None:
    assert ordered("mine", ["b", "a"], None) == ("b", "a")


@pytest.mark.parametrize("given", [("a",), ("a", "b", "c"), ("a", "a")])
def test_each_class_once(given: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="mine: class_order: expected each of the 2 classes once"):
        ordered("mine", ["a", "b"], given)


@pytest.mark.parametrize("content", ['{"a": 1, "b": "x"}', "[1, 2", '{"a": null}'])
def test_files_that_are_no_list(tmp_path: Path, content: str) -> None:
    (tmp_path / "order").write_text(content)
    with pytest.raises(ConfigError, match="is no list of names"):
        listed("mine", tmp_path / "order")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere.*give `natural`, a list"):
        listed("mine", tmp_path / "nowhere")
