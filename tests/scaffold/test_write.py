"""What is written of a new plugin: a file, its test, and a package around them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml

from benchbd.errors import ConfigError
from benchbd.plugin.loose import classes_in
from benchbd.scaffold.starts import OBSERVER, STARTS
from benchbd.scaffold.write import TEMPLATES, class_name, write_package, write_plugin

EVERY_START = [(kind, start) for kind, starts in STARTS.items() for start in starts]
PLUGINS = [(kind, start) for kind, start in EVERY_START if kind != OBSERVER]
CATALOGUE = Path(__file__).parents[2] / "registry.yaml"
OURS = {"role", "imports"}
"""Keys of cards that only bundled plugins have: those that stand for what was imported."""


@pytest.mark.parametrize("start", STARTS["defense"])
def test_the_test_of_a_defense_says_what_to_replace(tmp_path: Path, start: str) -> None:
    write_plugin("defense", "mine", tmp_path, start)
    lines = (tmp_path / "test_mine.py").read_text().splitlines()
    (place,) = [
        number
        for number, line in enumerate(lines)
        if "Replace this assertion by what the paper promises" in line
    ]
    assert "assert" in " ".join(lines[place + 1 : place + 3])


@pytest.mark.parametrize(("kind", "start"), PLUGINS)
def test_a_package_is_whole(tmp_path: Path, kind: str, start: str) -> None:
    written = write_package(kind, "my_own", tmp_path, start)
    root = tmp_path / "benchbd-my-own"
    assert set(written) == {path for path in root.rglob("*") if path.is_file()}
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {f"benchbd.{kind}": {"my_own": "benchbd_my_own.my_own:MyOwn"}}
    card = yaml.safe_load((root / "src/benchbd_my_own/registry.yaml").read_text())[kind]["my_own"]
    (cls,) = classes_in(root / "src/benchbd_my_own/my_own.py")
    assert (cls.kind, card["family"]) == (kind, getattr(cls, "family", STARTS[kind][start]))
    assert steps(root)[-1] == {"run": f"benchbd check {kind}.my_own"}


def test_a_package_of_an_observer_has_its_entry_point_and_no_card(tmp_path: Path) -> None:
    write_package("observer", "my_own", tmp_path)
    root = tmp_path / "benchbd-my-own"
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {"benchbd.hooks": {"my_own": "benchbd_my_own.my_own:MyOwn"}}
    assert project["description"] == "An observer for benchbd"
    assert not list(root.rglob("registry.yaml"))
    assert steps(root)[-1] == {"run": "benchbd plugins"}


def steps(root: Path) -> list[dict[str, str]]:
    """The steps of the generated workflow."""
    workflow = yaml.safe_load((root / ".github/workflows/test.yml").read_text())
    found: list[dict[str, str]] = workflow["jobs"]["test"]["steps"]
    return found


@pytest.mark.parametrize("page", [TEMPLATES / "package/registry.txt", Path("docs")])
def test_every_key_of_a_card_is_explained_where_it_is_asked_for(page: Path) -> None:
    cards = yaml.safe_load(CATALOGUE.read_text())
    used = {key for kind in cards.values() for card in kind.values() for key in card} - OURS
    if page == Path("docs"):
        text = (CATALOGUE.parent / "docs/package_and_publish.md").read_text()
        assert {key for key in used if f"| `{key}` |" not in text} == set()
    else:
        assert {key for key in used if f" {key}:" not in page.read_text()} == set()


def test_a_family_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the family .filter.; did you mean .data-filter"):
        write_plugin("defense", "mine", tmp_path, "filter")


def test_the_name_of_an_observer_that_is_there_already(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="benchbd has an observer named 'json_lines' already"):
        write_plugin("observer", "json_lines", tmp_path)


def test_names_of_classes() -> None:
    assert class_name("my_own_2") == "MyOwn2"
