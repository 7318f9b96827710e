"""The writer of a new plugin: one file and its test, or a whole package around them."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

from benchbd.errors import ConfigError, nearest
from benchbd.plugin.hooks import HOOKS_GROUP
from benchbd.plugin.points import points
from benchbd.plugin.registry import entries
from benchbd.scaffold.starts import OBSERVER, STARTS

TEMPLATES = Path(__file__).parent / "templates"
PACKAGE_NAME = re.compile(r"[a-z][a-z0-9_]*")
SUMMARY = "what it does, in one line"


def write_plugin(kind: str, name: str, folder: Path, family: str | None = None) -> list[Path]:
    """Write `name`.py and test_`name`.py in `folder`, and return their paths. Raises `ConfigError`
    for a name or a family that cannot be used, or for files that exist.
    """
    start = _start(kind, family)
    texts = _texts(start, words_of(kind, name, class_name(name), STARTS[kind][start], name))
    return write(dict(zip((folder / f"{name}.py", folder / f"test_{name}.py"), texts, strict=True)))


def write_package(kind: str, name: str, folder: Path, family: str | None = None) -> list[Path]:
    """Write a distribution `benchbd-<name>` into a folder of that name: plugin, card, test, README,
    CI. Returns the paths of its files. Raises what `write_plugin` raises.
    """
    start = _start(kind, family)
    words = words_of(kind, name, class_name(name), STARTS[kind][start], f"benchbd_{name}.{name}")
    plugin, test = _texts(start, words)
    return write(package_files(words, folder, {f"{name}.py": plugin}, {f"test_{name}.py": test}))


def package_files(
    words: dict[str, str], folder: Path, sources: dict[str, str], tests: dict[str, str]
) -> dict[Path, str]:
    """Return the text of every file of a distribution, by its path.

    words: those of the templates. sources, tests: the texts of the plugin and of its tests, by the
    names of their files.
    """
    root = folder / words["distribution"]
    inside = root / "src" / words["package"]
    around = {
        root / "pyproject.toml": "package/pyproject",
        root / "README.md": "package/readme",
        root / ".github/workflows/test.yml": "package/ci",
        inside / "__init__.py": "package/init",
    }
    if words["kind"] != OBSERVER:
        around[inside / "registry.yaml"] = "package/registry"
    texts = {path: filled(template, words) for path, template in around.items()}
    texts |= {inside / file: text for file, text in sources.items()}
    return texts | {root / "tests" / file: text for file, text in tests.items()}


def words_of(kind: str, name: str, cls: str, family: str, module: str) -> dict[str, str]:
    """Return the words of the templates. cls: the name of the class. module: where it is imported
    from. Raises `ConfigError` for a name that cannot be used.
    """
    if not PACKAGE_NAME.fullmatch(name):
        raise ConfigError(
            f"expected a name of small letters, digits and underscores, such as my_{kind}, got "
            f"{name!r}"
        )
    described = f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
    if taken := _provider(kind, name):
        raise ConfigError(f"{taken} has {described} named {name!r} already; choose another name")
    return {
        "name": name,
        "Class": cls,
        "title": name.replace("_", " ").strip().capitalize(),
        "kind": kind,
        "family": family,
        "summary": SUMMARY,
        "described": described,
        "Described": described.capitalize(),
        "group": HOOKS_GROUP if kind == OBSERVER else f"benchbd.{kind}",
        "proof": "benchbd plugins" if kind == OBSERVER else f"benchbd check {kind}.{name}",
        "distribution": f"benchbd-{name.replace('_', '-')}",
        "package": f"benchbd_{name}",
        "module": module,
    }


def class_name(name: str) -> str:
    """Return the name of a class for a plugin of that name.

    >>> class_name("my_own")
    'MyOwn'
    """
    return "".join(part.capitalize() for part in name.split("_"))


def filled(template: str, words: dict[str, str]) -> str:
    """Return the text of a template with its words filled in."""
    text = (TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
    return Template(text).substitute(words)


def write(files: dict[Path, str]) -> list[Path]:
    """Write files by their paths, and return the paths. Raises `ConfigError` where one is there."""
    there = [path for path in files if path.exists()]
    if there:
        raise ConfigError(f"{there[0]} is there already; remove it, or choose another name")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)


def _texts(start: str, words: dict[str, str]) -> tuple[str, str]:
    """Return the texts of a plugin and of its test."""
    return filled(start, words), filled(f"test_{start}", words)


def _start(kind: str, family: str | None) -> str:
    known = list(STARTS[kind])
    if family is None:
        return known[0]
    if family not in known:
        raise ConfigError(
            f"--family: no {kind} of the family {family!r}"
            f"{nearest(family, known, 'there is ' + ', '.join(known))}"
        )
    return family


def _provider(kind: str, name: str) -> str | None:
    """Return the installed package that has a plugin of that kind and name, or None."""
    known = points().get(HOOKS_GROUP, ()) if kind == OBSERVER else entries(kind)
    return next((each.provider for each in known if each.name == name), None)
