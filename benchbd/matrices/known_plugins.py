"""The facts that plans have learnt about plugins, stored beside the results, so that a later
listing need not import any plugin.

Keys of cells depend on the default parameters of plugins. Only the classes know them, and importing
the classes takes seconds. So a plan stores what the classes said, and the next one reads it. It is
valid as long as its surroundings have not changed: the installed packages, and the sources of
benchbd and of every package that provides plugins. It holds no path of a result: that always
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
from benchbd.matrices.planned_plugin import PlannedPlugin, numbered_params
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.provenance import entry_of, file_digest, name_of
from benchbd.plugin.registry import create, entries, find
from benchbd.record.files import read_json, write_json
from benchbd.record.keys import key_of
from benchbd.record.part import StoredPart
from benchbd.running.protocol import Choice

KNOWN_FILE = ".known-plugins"
"""The name has no ending, so that no reader of results mistakes the file for one."""

KINDS_PLANNED = ("attack", "defense", "model", "dataset")
SOURCE_ENDINGS = (".py", ".yaml", ".yml", ".json", ".toml")
"""Code, and other files from which code may read a default."""

_PLANNED = TypeAdapter(PlannedPlugin)


class _Stored(StoredPart):
    """The content of the file. surroundings: the digest of everything that the rest depends on."""

    surroundings: str
    plugins: dict[str, dict[str, object]]


@contextmanager
def known_plugins(results: Path) -> Iterator[KnownPlugins]:
    """Give what is known beside these results, and store after the block what was learnt
    inside it.
    """
    known = KnownPlugins(results)
    try:
        yield known
    finally:
        known.keep()


class KnownPlugins:
    """What earlier plans have learnt about plugins, and what this one learns."""

    def __init__(self, results: Path) -> None:
        self._path = results / KNOWN_FILE
        self._learnt: dict[str, PlannedPlugin] = {}

    def recall(self, kind: str, choice: Choice, dataset: Choice | None = None) -> PlannedPlugin:
        """Return what is known about a plugin, or else what its class says. Raises `ConfigError` or
        `PluginError`.
        """
        known = self._known.get(_key(kind, choice))
        if known is not None and _is_provided(known, kind, choice):
            return known
        return self.learn(kind, choice, dataset)

    def learn(self, kind: str, choice: Choice, dataset: Choice | None = None) -> PlannedPlugin:
        """Ask the class of a plugin and return what it says. An attack that names a class is not
        kept, because its number depends on the images. Raises what `by_class` raises.
        """
        _ = self._surroundings  # as they are before the class is imported, not after
        params = numbered_params(kind, choice, dataset)
        plugin = create(kind, choice.name, params)
        planned = PlannedPlugin.of(plugin)
        if params == choice.params and _can_be_known(plugin):
            self._learnt[_key(kind, choice)] = planned
        return planned

    def keep(self) -> None:
        """Write what was learnt, if there are results. If it cannot be written, the next plan asks
        the classes again.
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
        """The digest of everything that the declarations of plugins depend on."""
        return key_of("surroundings", sys.version, _installed(), _sources())


def _key(kind: str, choice: Choice) -> str:
    return f"{kind} {choice.name} {choice.params!r}"


def _is_provided(known: PlannedPlugin, kind: str, choice: Choice) -> bool:
    """Return whether the known plugin is the one that is installed today under this name. Raises
    what `create` would raise for a name that nobody or more than one package has.
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
    """Return whether the plugin is registered, and whether a plan can describe it without any other
    file, such as one that a parameter names.
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
    """Yield the source files of a package, or the file of a module without one. None of them is
    run.
    """
    spec = importlib.util.find_spec(package)
    if spec is None:
        return
    if spec.submodule_search_locations is None:
        yield from [Path(spec.origin)] if spec.origin else []
        return
    for folder in spec.submodule_search_locations:
        for place, _, names in os.walk(folder):
            yield from (Path(place, name) for name in names if name.endswith(SOURCE_ENDINGS))
