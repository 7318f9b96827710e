"""Plugins from a file that is not part of a package: `./my_defense.py`, or
`./my_defense.py:MyDefense` if it holds several.

The file is imported once per content under a name of its own, with its folder as its package: `from
.part import ...` finds the file beside it, and two files of the same name do not collide.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from benchbd.errors import ContractBroken, PluginError, PluginNotFound, nearest
from benchbd.plugin.entry import FILE_MODULE_PREFIX, KINDS, PLURALS, PluginEntry
from benchbd.plugin.points import ImportTimeout, import_seconds, limit_time

if TYPE_CHECKING:
    from benchbd.plugin.plugin import Plugin

LOCAL_FILE = "local file"
VERSION_DIGITS = 12
"""The number of digits of a file's digest that serve as its version."""


def file_entry(kind: str, name: str) -> PluginEntry:
    """Return the entry of a plugin in a file, without importing it. Raises `PluginNotFound` when
    there is no such file.
    """
    path, class_name = path_of(name)
    target = f"{path}:{class_name}" if class_name else str(path)
    return PluginEntry(kind, path.stem, LOCAL_FILE, version_of_content(path.read_bytes()), target)


def load_file(kind: str, name: str) -> type[Plugin]:
    """Return the only class of that kind in the file, or the one named after the colon. Raises
    `PluginError`.
    """
    path, class_name = path_of(name)
    found = [cls for cls in classes_in(path) if cls.kind == kind]
    named = [cls for cls in found if class_name in ("", cls.__qualname__)]
    if class_name and not named:
        raise PluginNotFound(f"{path} holds no {kind} {class_name!r}{_held(path, class_name)}")
    if not named:
        raise PluginNotFound(
            f"{path} holds no {kind}; write a class that derives from a {kind} family of "
            "benchbd.api"
        )
    if len(named) > 1:
        choices = ", ".join(f"{path.name}:{cls.__qualname__}" for cls in named)
        raise PluginError(f"{path} holds several {PLURALS[kind]}; name the one you mean: {choices}")
    if len({cls.name for cls in found}) < len(found):
        raise ContractBroken(
            f"{path}: several {PLURALS[kind]} are called {named[0].name!r}; state "
            "`name = ...` in each class"
        )
    named[0].require_contract()
    return named[0]


def load_only_plugin(name: str) -> type[Plugin]:
    """Return the only plugin class of a file, of any kind, or the one named after the colon. Raises
    `PluginError`.
    """
    path, class_name = path_of(name)
    found = [cls for cls in classes_in(path) if class_name in ("", cls.__qualname__)]
    if not found:
        what = f"plugin {class_name!r}" if class_name else "plugin"
        raise PluginNotFound(f"{path} holds no {what}{_held(path, class_name)}")
    if len(found) > 1:
        choices = ", ".join(f"{path.name}:{cls.__qualname__}" for cls in found)
        raise PluginError(f"{path} holds several plugins; name the one you mean: {choices}")
    return found[0]


def file_hint(name: str) -> str:
    """Return the end of a message about an unknown name: a hint at a file of that name in the
    current folder, or nothing where there is none.
    """
    there = "/" not in name and Path(f"{name}.py").is_file()
    return f"; did you mean the file ./{name}.py? A file is named by its path" if there else ""


def _held(path: Path, class_name: str) -> str:
    """Return the end of a message: which plugins the file does hold."""
    held = [f"{cls.__qualname__} ({cls.kind})" for cls in classes_in(path)]
    if not held:
        return "; write a class that derives from a family of benchbd.api"
    return nearest(
        class_name, [name.partition(" ")[0] for name in held], f"it holds: {', '.join(held)}"
    )


def classes_in(path: Path) -> list[type[Plugin]]:
    """The plugin classes that a file writes, in its order, without those that serve as the base of
    another. A class that stands there under two names counts once.
    """
    from benchbd.plugin.plugin import Plugin

    module = _import(path)
    own = dict.fromkeys(
        value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, Plugin)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    )
    return [
        cls for cls in own if cls.kind in KINDS and not any(cls in other.__bases__ for other in own)
    ]


def place_of(cls: type[Plugin]) -> str:
    """Return the name `file:class` by which an unregistered class is found again; empty when it has
    no file.
    """
    try:
        path = Path(inspect.getfile(cls)).resolve()
    except (OSError, TypeError):
        return ""
    return (
        f"{path}:{cls.__qualname__}" if path.suffix == ".py" and "<" not in cls.__qualname__ else ""
    )


def is_imported(name: str) -> bool:
    """Return whether the file, with its present content, was imported in this process."""
    path = path_of(name)[0]
    return _package(path) in sys.modules or _ordinary(path) is not None


def version_of_content(content: bytes) -> str:
    """Return the digits that serve as the version of a file with this content."""
    return hashlib.sha256(content).hexdigest()[:VERSION_DIGITS]


def path_of(name: str) -> tuple[Path, str]:
    """Return the file and the class that a name stands for. Raises `PluginNotFound` when there is
    no such file.
    """
    file, colon, class_name = name.partition(".py:")
    path = Path(file + ".py" if colon else name).expanduser().resolve()
    if not path.is_file():
        raise PluginNotFound(
            f"no file {path}; a plugin in a file is named by its path, such as "
            "./my_defense.py:MyDefense"
        )
    return path, class_name


def _import(path: Path) -> ModuleType:
    package, ordinary = _package(path), _ordinary(path)
    if ordinary is not None:
        return ordinary
    if "." in path.stem:
        raise ContractBroken(f"{path} cannot be imported: its name has a dot before .py; rename it")
    if package not in sys.modules:
        folder = ModuleType(package)
        folder.__path__ = [str(path.parent)]
        sys.modules[package] = folder
    try:
        with limit_time(import_seconds()):
            return importlib.import_module(f"{package}.{path.stem}")
    except (Exception, SystemExit, ImportTimeout) as error:
        raise PluginError(f"{path} cannot be imported: {import_fault(error)}") from error


def import_fault(error: BaseException) -> str:
    """Return what a module raised when it was imported. For a parameter without a type, the message
    says how to write it.
    """
    if getattr(error, "code", None) == "model-field-missing-annotation" and (
        named := re.search(r"'(\w+)'", str(error))
    ):
        return (
            f"`{named[1]}` is declared without its type; write `{named[1]}: float = param(...)`, "
            "or the type that it has"
        )
    return f"{type(error).__name__}: {error}"


def _package(path: Path) -> str:
    return f"{FILE_MODULE_PREFIX}{version_of_content(str(path).encode() + path.read_bytes())}"


def _ordinary(path: Path) -> ModuleType | None:
    """Return the module that an ordinary import has made of this file, or the script that is
    running; None if there is neither.
    """
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) == str(path) and not name.startswith(
            FILE_MODULE_PREFIX
        ):
            return module
    return None
