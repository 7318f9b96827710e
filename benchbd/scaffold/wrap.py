"""A package around a plugin that somebody has in a file already."""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from benchbd.errors import ConfigError, PluginNotFound
from benchbd.plugin.loose import load_file, path_of
from benchbd.scaffold.starts import OBSERVER, STARTS
from benchbd.scaffold.write import filled, package_files, words_of, write

if TYPE_CHECKING:
    from benchbd.plugin.plugin import Plugin

BESIDE = re.compile(r"^\s*from \.(\w+) import", flags=re.M)
"""An import of a file that lies beside the plugin."""


def wrap_file(kind: str, name: str, folder: Path) -> list[Path]:
    """Write a distribution around a copy of the plugin in the file `name`, which may end with the
    name of its class as in `./mine.py:Mine`. Returns the paths of its files.

    Files beside it that it imports, and its test, are copied too; what there is stays as it is.
    Raises `PluginError` for a file that holds no such plugin, and `ConfigError` for files that
    exist.
    """
    path, _ = path_of(name)
    words = _observer_words(path, name) if kind == OBSERVER else _plugin_words(kind, path, name)
    sources = {each.name: each.read_text(encoding="utf-8") for each in _with_parts(path)}
    tests = {f"test_{path.stem}.py": _test_of(path, words)}
    return write(package_files(words, folder, sources, tests))


def _plugin_words(kind: str, path: Path, name: str) -> dict[str, str]:
    cls = load_file(kind, name)
    family = getattr(cls, "family", "") or next(iter(STARTS[kind].values()))
    words = words_of(kind, cls.name, cls.__qualname__, family, "")
    return _placed(words, path) | {"summary": _summary(cls, words["summary"])}


def _observer_words(path: Path, name: str) -> dict[str, str]:
    wanted = name.partition(".py:")[2]
    found = [each for each in _watching(path) if wanted in ("", each)]
    if len(found) != 1:
        raise PluginNotFound(
            f"{path}: expected one class with methods marked @hookimpl, found "
            f"{', '.join(found) or 'none'}; name the one you mean: ./{path.name}:CLASS"
        )
    return _placed(words_of(OBSERVER, path.stem, found[0], "", ""), path)


def _placed(words: dict[str, str], path: Path) -> dict[str, str]:
    """Return the words with the place of the module inside of the package."""
    if not path.stem.isidentifier():
        raise ConfigError(
            f"{path} cannot be a module of a package: its name has other signs than "
            "letters, digits and underscores; rename it"
        )
    return words | {"module": f"{words['package']}.{path.stem}"}


def _watching(path: Path) -> list[str]:
    """Return the names of the classes that have a method marked `hookimpl`, without running
    anything.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        each.name
        for each in tree.body
        if isinstance(each, ast.ClassDef)
        and any(
            "hookimpl" in ast.unparse(mark)
            for method in each.body
            if isinstance(method, ast.FunctionDef)
            for mark in method.decorator_list
        )
    ]


def _summary(cls: type[Plugin], otherwise: str) -> str:
    """Return the first line of what the class says of itself, as a text in YAML."""
    own = inspect.cleandoc(cls.__doc__ or "").partition("\n")[0].rstrip(".")
    return json.dumps(own, ensure_ascii=False) if own else otherwise


def _with_parts(path: Path) -> list[Path]:
    """Return the file and those beside it that it needs, found by their imports."""
    found = [path]
    for file in found:
        for part in BESIDE.findall(file.read_text(encoding="utf-8")):
            beside = path.with_name(f"{part}.py")
            if not beside.is_file():
                raise ConfigError(f"{file} imports .{part}, and there is no {beside}")
            if beside not in found:
                found.append(beside)
    return found


def _test_of(path: Path, words: dict[str, str]) -> str:
    """Return the test that lies beside the file, with the imports that it needs in the package, or
    else one of the contract alone.
    """
    own = path.with_name(f"test_{path.stem}.py")
    if own.is_file():
        names = rf"^(from|import) {re.escape(path.stem)}\b"
        return re.sub(names, rf"\1 {words['module']}", own.read_text(encoding="utf-8"), flags=re.M)
    return filled("package/watches" if words["kind"] == OBSERVER else "package/contract", words)
