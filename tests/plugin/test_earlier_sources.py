"""Sources that changed without changing results: what a package says of them is believed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from benchbd.errors import ConfigError
from benchbd.plugin.earlier_sources import (
    changed_sources,
    changed_sources_of,
    earlier_sources,
    record,
)
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.provenance import sources
from benchbd.plugin.registry import load

METHOD = """
from moved_package.parts.factor import FACTOR
from benchbd.api import Repair


class Mine(Repair):
    api = 1

    def repair(self, model, clean, rng):
        return model.eval()
"""


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package whose helper has moved to another folder since its first commit."""
    folder = tmp_path / "moved_package"
    (folder / "parts").mkdir(parents=True)
    for name, text in (("__init__", ""), ("mine", METHOD), ("factor", "FACTOR = 2\n" * 9)):
        (folder / f"{name}.py").write_text(text)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    (folder / "factor.py").rename(folder / "parts" / "factor.py")
    (folder / "parts" / "factor.py").write_text("FACTOR = 2\n" * 9 + "# in its own folder\n")
    (folder / "parts" / "__init__.py").write_text("")
    git(tmp_path, "add", ".")
    monkeypatch.syspath_prepend(tmp_path)
    earlier_sources.cache_clear()
    yield folder
    earlier_sources.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "moved_package"]:
        del sys.modules[name]


def method() -> type[Plugin]:
    from moved_package.mine import Mine  # type: ignore[import-not-found]

    return Mine  # type: ignore[no-any-return]


def test_a_move_is_no_other_source_once_it_is_recorded(package: Path) -> None:
    then = {"defense.mine": digest(METHOD), "moved_package.factor": digest("FACTOR = 2\n" * 9)}
    other = then | {"moved_package.factor": digest("FACTOR = 3\n" * 9)}
    path = record("moved_package", "HEAD")
    earlier_sources.cache_clear()
    assert yaml.safe_load(path.read_text()) == {
        "moved_package.parts.factor": {
            "formerly": "moved_package.factor",
            "digests": [digest("FACTOR = 2\n" * 9)],
        }
    }
    today = sources(method())
    assert changed_sources_of(today, then) == []
    assert changed_sources_of(today, other) == ["moved_package.parts.factor"]
    assert changed_sources_of(today, then | {"defense.mine": "0" * 64}) == ["defense.mine"]


def test_recorded_twice_it_says_the_same(package: Path) -> None:
    first = record("moved_package", "HEAD").read_text()
    earlier_sources.cache_clear()
    assert record("moved_package", "HEAD").read_text() == first


@pytest.mark.parametrize("content", ["[1]", "a: 3", "a: {digests: 3}", "a: 2024-13-45", ""])
def test_a_file_that_says_something_else_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    (tmp_path / "otherwise").mkdir()
    (tmp_path / "otherwise" / "__init__.py").write_text("")
    (tmp_path / "otherwise" / "earlier_sources.yaml").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    earlier_sources.cache_clear()
    with pytest.raises(ConfigError, match=r"earlier_sources\.yaml"):
        earlier_sources("otherwise")


@pytest.mark.slow
def test_changed_sources_are_named_once_and_unknown_ones_not_at_all() -> None:
    today = sources(load("attack", "badnet"))
    assert (
        changed_sources([today], {"sources": today.digests}) == changed_sources([today], {}) == ""
    )
    told = changed_sources([today, today], {"sources": dict.fromkeys(today.digests, "0" * 64)})
    assert told.startswith("made with another source of ")
    names = told.removeprefix("made with another source of ").split(", ")
    assert sorted(names) == sorted(today.digests)
