"""What plans have learnt of plugins, remembered beside the results, so that a listing imports none
of them.

Keys of cells hang on the default parameters of plugins, which only their classes know, and to
import those takes seconds. Once a plan has asked the classes, the next one has no need to. What is
remembered counts while nothing has changed that it hangs on: what is installed, and the sources of
benchbd and of every package that provides plugins. It names no file: where a result lies always
follows from the protocol and the keys. A file that is damaged or foreign counts as absent.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from benchbd.errors import RecordError, Unwritable
from benchbd.matrices.planned_plugin import PlannedPlugin
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.provenance import entry_of, file_digest, name_of
from benchbd.plugin.registry import create, entries, find
from benchbd.record.files import read_json, write_json
from benchbd.record.keys import key_of
from benchbd.record.part import StoredPart
from benchbd.running.protocol import Choice

KNOWN_FILE = ".known-plugins"
"""Its name has no ending, so that no reader of results takes it for one."""

KINDS_PLANNED = ("attack", "defense", "model", "dataset")
SOURCE_ENDINGS = (".py", ".yaml", ".yml", ".json", ".toml")
"""Code, and texts from which code may take a default."""

_PLANNED = TypeAdapter(PlannedPlugin)


class _Stored(StoredPart):
    """The content of the file. surroundings: the digest of all that the rest hangs on."""

    surroundings: str
    plugins: dict[str, dict[str, object]]


@contextmanager
def known_plugins(results: Path) -> Iterator[KnownPlugins]:
    """What is known beside these results; what is learnt inside is kept for the next time."""
    known = KnownPlugins(results)
    try:
        yield known
    finally:
        known.keep()


class KnownPlugins:
    """What earlier plans have learnt of plugins, and what this one learns."""

    def __init__(self, results: Path) -> None:
        self._path = results / KNOWN_FILE
        self._learnt: dict[str, PlannedPlugin] = {}

    def recall(self, kind: str, choice: Choice) -> PlannedPlugin:
        """Return what is known of a plugin, else what its class says. Raises `ConfigError` or
        `PluginError`.
        """
        known = self._known.get(_key(kind, choice))
        if known is not None and _is_provided(known, kind, choice):
            return known
        return self.learn(kind, choice)

    def learn(self, kind: str, choice: Choice) -> PlannedPlugin:
        """Return what the class of a plugin says. Raises `ConfigError` or `PluginError`."""
        _ = self._surroundings  # as they are before the class is imported, not after
        plugin = create(kind, choice.name, choice.params)
        planned = PlannedPlugin.of(plugin)
        if _can_be_known(plugin):
            self._learnt[_key(kind, choice)] = planned
        return planned

    def keep(self) -> None:
        """Write what was learnt, where there are results; where nothing can be written the classes
        are asked again.
        """
        if not self._learnt or not self._path.parent.is_dir():
            return
        plugins = {
            key: _PLANNED.dump_python(planned, mode="json")
            for key, planned in (self._known | self._learnt).items()
        }
        content = _Stored(surroundings=self._surroundings, plugins=plugins)
        with suppress(Unwritable):
            write_json(self._path, content.model_dump())

    @cached_property
    def _known(self) -> dict[str, PlannedPlugin]:
        try:
            stored = _Stored.model_validate(read_json(self._path))
            if stored.surroundings != self._surroundings:
                return {}
            return {
                key: _PLANNED.validate_python(planned) for key, planned in stored.plugins.items()
            }
        except (RecordError, ValidationError):
            return {}

    @cached_property
    def _surroundings(self) -> str:
        """The digest of all that the declarations of plugins hang on."""
        return key_of("surroundings", sys.version, _installed(), _sources())


def _key(kind: str, choice: Choice) -> str:
    return f"{kind} {choice.name} {choice.params!r}"


def _is_provided(known: PlannedPlugin, kind: str, choice: Choice) -> bool:
    """Return whether it is what is installed today under this name. Raises what `create` would
    raise for a name that nobody has, or several.
    """
    entry, record = find(kind, choice.name), known.record
    return (known.kind, known.found_as, known.sources.module) == (
        kind,
        name_of(entry),
        entry.target.partition(":")[0],
    ) and (record.name, record.provider, record.version) == (
        entry.name,
        entry.provider,
        entry.version,
    )


def _can_be_known(plugin: Plugin) -> bool:
    """Return whether it is registered, and what a plan needs to know of it hangs on no other file,
    such as one that a parameter names.
    """
    values = (
        getattr(plugin, name) for name in type(plugin).model_fields if name not in plugin.aside
    )
    return entry_of(type(plugin)) is not None and not any(isinstance(v, Path) for v in values)


def _installed() -> list[str]:
    """Return names and versions of the distributions, as the folders of their metadata are
    called.
    """
    found: set[str] = set()
    for place in filter(None, sys.path):
        with suppress(OSError):
            names = (each.name for each in Path(place).iterdir())
            found |= {name for name in names if name.endswith((".dist-info", ".egg-info"))}
    return sorted(found)


def _sources() -> dict[str, str]:
    """Return digests of the sources of benchbd and of all packages that provide plugins, by
    path.
    """
    targets = (entry.target for kind in KINDS_PLANNED for entry in entries(kind))
    packages = {"benchbd", *(target.partition(":")[0].partition(".")[0] for target in targets)}
    return {str(file): file_digest(file) for name in sorted(packages) for file in _files(name)}


def _files(package: str) -> Iterator[Path]:
    """Yield the sources of a package, or the file of a module without one; nothing of it is run."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return
    if spec.submodule_search_locations is None:
        yield from [Path(spec.origin)] if spec.origin else []
        return
    for folder in spec.submodule_search_locations:
        for place, _, names in os.walk(folder):
            yield from (Path(place, name) for name in names if name.endswith(SOURCE_ENDINGS))
