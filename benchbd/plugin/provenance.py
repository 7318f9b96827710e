"""The provenance of a plugin: its distribution and version, the name under which it is found again,
and the digests of its sources.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchbd.plugin.entry import PluginEntry
from benchbd.plugin.loose import LOCAL_FILE, VERSION_DIGITS, place_of
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.registry import entries


def entry_of(plugin: type[Plugin]) -> PluginEntry | None:
    """Return the registered entry that leads to this very class; None for a class from a loose
    file.
    """
    target = f"{plugin.__module__}:{plugin.__qualname__}"
    return next((e for e in entries(plugin.kind) if e.target == target), None)


def provider_of(plugin: type[Plugin]) -> tuple[str, str]:
    """Return the distribution and its version. For a class from a loose file they are `LOCAL_FILE`
    and the first digits of the file's digest.
    """
    entry = entry_of(plugin)
    if entry is not None:
        return entry.provider, entry.version
    return (
        (LOCAL_FILE, source_digest(plugin)[:VERSION_DIGITS]) if place_of(plugin) else ("local", "")
    )


def name_for(plugin: type[Plugin]) -> str:
    """Return the name by which another process finds this very class: its name, or
    `distribution/name` where that is not unique, or its file.
    """
    entry = entry_of(plugin)
    if entry is None:
        return place_of(plugin) or plugin.name
    return name_of(entry)


def name_of(entry: PluginEntry) -> str:
    """Return the name that leads to this entry and no other."""
    rivals = [e for e in entries(entry.kind) if e.name == entry.name]
    return entry.name if len(rivals) == 1 else f"{entry.provider}/{entry.name}"


@dataclass(frozen=True)
class PluginSources:
    """The digests of all source files of a plugin: that of its own file under its kind and name,
    and those of the modules of its package that it uses under their own names. module: the module
    of its own file.
    """

    own: str
    module: str
    digests: dict[str, str]


@cache
def sources(plugin: type[Plugin]) -> PluginSources:
    """Return the sources of a plugin as they are today."""
    files: dict[str, Path] = {}
    _collect(plugin.__module__, files)
    helpers = {
        name: file_digest(file) for name, file in sorted(files.items()) if name != plugin.__module__
    }
    own = f"{plugin.kind}.{plugin.name}"
    return PluginSources(own, plugin.__module__, {own: source_digest(plugin)} | helpers)


@cache
def source_digest(plugin: type[Plugin]) -> str:
    """Return the sha256 of the file in which the class is written; empty when there is no such
    file.
    """
    try:
        return file_digest(Path(inspect.getfile(plugin)))
    except TypeError:
        return ""


def _collect(module: str, files: dict[str, Path]) -> None:
    """Add a module to `files`, with all modules of its package that it imports, directly or not."""
    file = _file_of(module)
    if file is None or module in files:
        return
    files[module] = file
    for name in _imported(module, file):
        if name.partition(".")[0] == module.partition(".")[0]:
            _collect(name, files)


def _imported(module: str, file: Path) -> Iterator[str]:
    """Yield the names of the modules that a module imports anywhere in its code. Some of the names
    may not be modules but members of one.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        # a file that cannot be read fails when it is imported, and is reported then
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _file_of(module: str) -> Path | None:
    """Return the file of a module, which need not be loaded; None for a name that is no module, or
    has no file of Python.
    """
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return (
        Path(spec.origin)
        if spec is not None and spec.origin and spec.origin.endswith(".py")
        else None
    )


def file_digest(file: Path) -> str:
    """Return the sha256 of a file; empty when it cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""
