"""The writer of a new plugin: one file and its test, or a whole package around them."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

from benchbd.errors import ConfigError
from benchbd.plugin.registry import entries

TEMPLATES = Path(__file__).parent / "templates"
PACKAGE_NAME = re.compile(r"[a-z][a-z0-9_]*")
FAMILIES = {
    "attack": "data-poisoning",
    "defense": "repair",
    "analysis": "features",
    "model": "convolutional",
    "dataset": "synthetic",
    "executor": "this machine",
}


def write_plugin(kind: str, name: str, folder: Path) -> list[Path]:
    """Write `name`.py and test_`name`.py in `folder`, and return their paths. Raises `ConfigError`
    for a name that cannot be used, or for files that exist.
    """
    return _write(
        _words(kind, name),
        {folder / f"{name}.py": f"{kind}.txt", folder / f"test_{name}.py": f"test_{kind}.txt"},
    )


def write_package(kind: str, name: str, folder: Path) -> list[Path]:
    """Return a distribution `benchbd-<name>` in a folder of that name: plugin, card, test, README,
    CI.
    """
    words = _words(kind, name) | {"module": f"benchbd_{name}.{name}"}
    root = folder / f"benchbd-{name.replace('_', '-')}"
    inside = root / "src" / f"benchbd_{name}"
    return _write(
        words,
        {
            root / "pyproject.toml": "package/pyproject.txt",
            root / "README.md": "package/readme.txt",
            root / ".github/workflows/test.yml": "package/ci.txt",
            inside / "__init__.py": "package/init.txt",
            inside / "registry.yaml": "package/registry.txt",
            inside / f"{name}.py": f"{kind}.txt",
            root / "tests" / f"test_{name}.py": f"test_{kind}.txt",
        },
    )


def _words(kind: str, name: str) -> dict[str, str]:
    """Return the words of the templates that follow from a name."""
    if not PACKAGE_NAME.fullmatch(name):
        raise ConfigError(
            f"expected a name of small letters, digits and underscores, such as my_{kind}, got "
            f"{name!r}"
        )
    taken = [entry.provider for entry in entries(kind) if entry.name == name]
    if taken:
        raise ConfigError(f"{taken[0]} has a {kind} named {name!r} already; choose another name")
    return {
        "name": name,
        "Class": "".join(part.capitalize() for part in name.split("_")),
        "title": name.replace("_", " ").strip().capitalize(),
        "kind": kind,
        "family": FAMILIES[kind],
        "distribution": f"benchbd-{name.replace('_', '-')}",
        "package": f"benchbd_{name}",
        "module": name,
    }


def _write(words: dict[str, str], files: dict[Path, str]) -> list[Path]:
    there = [path for path in files if path.exists()]
    if there:
        raise ConfigError(f"{there[0]} is there already; remove it, or choose another name")
    for path, template in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        path.write_text(Template(text).substitute(words), encoding="utf-8")
    return list(files)
