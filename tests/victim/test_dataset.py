"""Where data sets lie, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.data.images import ImageSet
from benchbd.errors import DataError
from benchbd.victim.dataset import DataSet, Split, data_dir, require_folder


def test_data_lie_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCHBD_DATA", raising=False)
    assert data_dir() == Path("data")
    monkeypatch.setenv("BENCHBD_DATA", "~/images")
    assert data_dir() == Path.home() / "images"


def test_a_folder_that_is_there_is_given_back(tmp_path: Path) -> None:
    assert require_folder(tmp_path, "cifar", "fetch it") == tmp_path


@pytest.mark.parametrize("made", [False, True], ids=["nothing there", "a file there"])
def test_without_a_folder_it_is_said_where_was_looked_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    if made:
        (tmp_path / "images").touch()
    with pytest.raises(DataError) as caught:
        require_folder(Path("images"), "cifar", "fetch it")
    assert str(caught.value) == f"cifar: no data in {tmp_path / 'images'}; fetch it"


def test_a_data_set_is_the_same_for_every_result_unless_it_says_otherwise(
    images: ImageSet, tmp_path: Path
) -> None:
    class Fixed(DataSet):
        api = 1
        name = "fixed"

        def load(self, split: Split) -> ImageSet:
            return images

    fixed = Fixed()
    assert fixed.beside(tmp_path) is fixed
