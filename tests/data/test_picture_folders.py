from __future__ import annotations

from collections import Counter
from pathlib import Path

from benchbd.data.picture_folders import (
    PicturesBelow,
    counted_in_words,
    is_foreign,
    passed_over_beside,
)


def test_images_are_found_at_every_depth_and_the_rest_is_counted(tmp_path: Path) -> None:
    names = ["b.PNG", "a/c.gif", "a/d.avif", "e", ".f.png", "@eaDir/b.PNG/g.jpg", ".git/h.png"]
    for name in [*names, "a/i.png/j.png"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = PicturesBelow.find(tmp_path)
    read = [file.relative_to(tmp_path).as_posix() for file in found.files]
    assert read == ["a/c.gif", "a/i.png/j.png", "b.PNG"]
    assert found.passed_over == {".avif": 1, "without an ending": 1, "hidden": 2, "in @eaDir": 1}


def test_nothing_lies_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert PicturesBelow.find(tmp_path / "nowhere") == PicturesBelow([], Counter())


def test_words_tell_what_helps() -> None:
    assert counted_in_words(Counter({".txt": 2})) == "2 .txt"
    assert "store the .avif and .heic as PNG" in counted_in_words(Counter([".avif", ".heic"]))
    assert "images need an ending" in counted_in_words(Counter(["without an ending"]))


def test_foreign_names() -> None:
    assert [is_foreign(name) for name in (".DS_Store", "@eaDir", "__MACOSX", "cat")] == [
        True,
        True,
        True,
        False,
    ]


def test_what_lies_beside_the_folders_of_classes(tmp_path: Path) -> None:
    for name in ("cat/0.png", "notes.txt", ".DS_Store", "@eaDir/a/0.png", "@eaDir/1", ".git/h"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"something")
    (tmp_path / "__MACOSX").mkdir()
    found = passed_over_beside(tmp_path)
    assert found == {"outside of class folders": 1, "hidden": 2, "in @eaDir": 2}
