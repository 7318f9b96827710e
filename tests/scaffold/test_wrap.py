"""A package around a file that is there already."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml

from benchbd.errors import BenchbdError
from benchbd.scaffold.wrap import wrap_file
from benchbd.scaffold.write import write_plugin

FILTER = '''
"""Bright: what is bright is suspicious."""

from .levels import LEVEL

from benchbd.api import DataFilter, Suspicion, param


class Dark(DataFilter):
    """Flags dark images."""

    api = 1
    name = "dark"

    def score(self, train_as_seen, model, clean, rng):
        return Suspicion(-train_as_seen.images.float().mean((1, 2, 3)), LEVEL)


class Bright(DataFilter):
    """Flags bright images: a start.

    And more.
    """

    api = 1

    def score(self, train_as_seen, model, clean, rng):
        return Suspicion(train_as_seen.images.float().mean((1, 2, 3)), LEVEL)
'''


def wrapped(folder: Path, kind: str, name: str) -> Path:
    """The distribution around a file in the folder."""
    (first, *_) = wrap_file(kind, str(folder / name), folder / "out")
    return first.parent


def test_a_file_with_its_parts_and_its_test(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FILTER)
    (tmp_path / "levels.py").write_text("LEVEL = 128.0\n")
    (tmp_path / "test_mine.py").write_text("from mine import Bright\nimport minefield\n")
    root = wrapped(tmp_path, "defense", "mine.py:Bright")
    inside = root / "src/benchbd_mine"
    assert (inside / "mine.py").read_text() == FILTER
    assert (inside / "levels.py").read_text() == "LEVEL = 128.0\n"
    assert (root / "tests/test_mine.py").read_text() == (
        "from benchbd_mine.mine import Bright\nimport minefield\n"
    )
    card = yaml.safe_load((inside / "registry.yaml").read_text())["defense"]["mine"]
    assert (card["family"], card["summary"]) == ("data-filter", "Flags bright images: a start")
    points = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]
    assert points == {"benchbd.defense": {"mine": "benchbd_mine.mine:Bright"}}


def test_a_class_with_a_name_of_its_own_and_no_test(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FILTER)
    (tmp_path / "levels.py").write_text("LEVEL = 128.0\n")
    root = wrapped(tmp_path, "defense", "mine.py:Dark")
    points = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]
    assert points == {"benchbd.defense": {"dark": "benchbd_dark.mine:Dark"}}
    assert "@parametrize_with_checks([Dark])" in (root / "tests/test_mine.py").read_text()


def test_an_observer_is_found_without_running_its_file(tmp_path: Path) -> None:
    (observer, _) = write_plugin("observer", "mine", tmp_path)
    observer.write_text(observer.read_text() + "\n\nraise SystemExit\n")
    (tmp_path / "test_mine.py").unlink()
    root = wrapped(tmp_path, "observer", "mine.py")
    points = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]
    assert points == {"benchbd.hooks": {"mine": "benchbd_mine.mine:Mine"}}
    assert "Observers().add(Mine())" in (root / "tests/test_mine.py").read_text()


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("defense", "mine.py", "holds several defenses; name the one you mean"),
        ("attack", "mine.py", "holds no attack"),
        ("observer", "mine.py", "expected one class with methods marked @hookimpl, found none"),
        ("defense", "mine.py:Dark", "imports .levels, and there is no "),
        ("defense", "gone.py", "no file "),
        ("observer", "my-own.py", "expected a name of small letters"),
    ],
)
def test_files_that_cannot_be_wrapped(tmp_path: Path, kind: str, name: str, message: str) -> None:
    (tmp_path / "levels.py").write_text("LEVEL = 128.0\n")
    (tmp_path / "mine.py").write_text(FILTER)
    write_plugin("observer", "other", tmp_path)
    (tmp_path / "other.py").rename(tmp_path / "my-own.py")
    if "levels" in message:
        from benchbd.plugin.loose import classes_in

        classes_in(tmp_path / "mine.py")
        (tmp_path / "levels.py").unlink()
    with pytest.raises(BenchbdError, match=message):
        wrapped(tmp_path, kind, name)
    assert not (tmp_path / "out").exists()
