"""What is written of a new plugin: a file, its test, and a package around them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml

from benchbd.plugin.entry import KINDS
from benchbd.plugin.loose import classes_in
from benchbd.scaffold.write import FAMILIES, write_package, write_plugin


def test_the_test_of_a_defense_says_what_to_replace(tmp_path: Path) -> None:
    write_plugin("defense", "mine", tmp_path)
    lines = (tmp_path / "test_mine.py").read_text().splitlines()
    (place,) = [
        number
        for number, line in enumerate(lines)
        if "Replace this assertion by what the paper promises" in line
    ]
    assert "assert" in lines[place + 1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_whole(tmp_path: Path, kind: str) -> None:
    written = write_package(kind, "my_own", tmp_path)
    root = tmp_path / "benchbd-my-own"
    assert set(written) == {path for path in root.rglob("*") if path.is_file()}
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {f"benchbd.{kind}": {"my_own": "benchbd_my_own.my_own:MyOwn"}}
    card = yaml.safe_load((root / "src/benchbd_my_own/registry.yaml").read_text())[kind]["my_own"]
    (cls,) = classes_in(root / "src/benchbd_my_own/my_own.py")
    assert card["family"] == getattr(cls, "stage", FAMILIES[kind])
    steps = yaml.safe_load((root / ".github/workflows/test.yml").read_text())["jobs"]["test"][
        "steps"
    ]
    assert steps[-1] == {"run": f"benchbd check {kind}.my_own"}
