"""The search for plugins through entry points, which loads them one at a time.

Listing imports no plugin: names come from package metadata, descriptions from registry files. A
plugin that cannot be loaded is reported with its reason and its traceback, and the others are not
affected.
"""

from __future__ import annotations

import importlib.util
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from benchbd.errors import (
    ApiTooNew,
    ConfigError,
    ContractBroken,
    PluginError,
    PluginNotFound,
    nearest,
)
from benchbd.options import load_yaml
from benchbd.plugin.entry import PLURALS, PluginEntry
from benchbd.plugin.loose import file_entry, file_hint, import_fault, load_file
from benchbd.plugin.points import DeclaredPoint, ImportTimeout, import_seconds, limit_time, points

if TYPE_CHECKING:
    from benchbd.plugin.plugin import Plugin

Family = TypeVar("Family", bound="Plugin")

CATALOGUE_FILE = "registry.yaml"

CARD_SHAPES = {"paper": dict, "reference": dict, "needs": list, "tags": list, "trains": list}
"""Keys of a card that hold a list or a table. All others hold a text or a number."""


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that could not be loaded. reason: `import-error`, `api-too-new`, `contract` or
    `name-clash`.
    """

    entry: PluginEntry
    reason: str
    message: str
    trace: str


@cache
def entries(kind: str) -> tuple[PluginEntry, ...]:
    """Return all registered plugins of a kind, by name. None of them is imported."""
    return tuple(
        sorted(
            (_entry(kind, p) for p in points().get(f"benchbd.{kind}", ())),
            key=lambda e: (e.name, e.provider),
        )
    )


def forget() -> None:
    """Clear the caches, so that newly installed plugins are found."""
    for remembered in (points, entries, catalogue):
        remembered.cache_clear()


def find(kind: str, name: str) -> PluginEntry:
    """Return the entry called `name` or `distribution/name`, or that provides the prefix of
    `prefix:rest`, or the file of that path.

    Raises `PluginNotFound` with the nearest name, and `PluginError` when two distributions claim
    the same name.
    """
    if is_file(name):
        return file_entry(kind, name)
    bare = name.partition(":")[0]
    provider, _, bare = bare.rpartition("/")
    matches = [e for e in entries(kind) if e.name == bare and provider in ("", e.provider)]
    if not matches:
        known = [e.name for e in entries(kind)]
        guess = file_hint(name) or nearest(bare, known, f"`benchbd list {PLURALS[kind]}` shows all")
        raise PluginNotFound(f"no {kind} named {name!r}{guess}")
    if len(matches) > 1:
        both = " and ".join(f"{e.provider}/{e.name}" for e in matches)
        raise PluginError(
            f"two packages provide the {kind} {bare!r}: {both}; name the one you mean"
        )
    return matches[0]


@overload
def load(kind: type[Family], name: str) -> type[Family]: ...
@overload
def load(kind: str, name: str) -> type[Plugin]: ...


def load(kind: type[Plugin] | str, name: str) -> type[Plugin]:
    """Import the plugin class called `name` and return it. kind: the base class of its kind, such
    as `Attack`; or the name of the kind, where only that is known.

    Raises `PluginNotFound`, `PluginError` or `ContractBroken`.
    """
    word = kind if isinstance(kind, str) else kind.kind
    return load_file(word, name) if is_file(name) else _import(find(word, name))


def is_file(name: str) -> bool:
    """Return whether a name is the path of a file: `./my_defense.py`,
    `./my_defense.py:MyDefense`.
    """
    return name.endswith(".py") or ".py:" in name


@overload
def create(kind: type[Family], name: str, params: Mapping[str, Any] | None = None) -> Family: ...
@overload
def create(kind: str, name: str, params: Mapping[str, Any] | None = None) -> Plugin: ...


def create(kind: type[Plugin] | str, name: str, params: Mapping[str, Any] | None = None) -> Plugin:
    """Build the plugin `name`, of any package, with `params`, and return it.

    kind: the base class of its kind, such as `Attack`, which then is the type of the result; or the
    name of the kind, where only that is known. name: its name, or the path of a file; the part
    after a colon, as in `timm:resnet18`, goes to its parameter `variant`. Raises `PluginNotFound`
    with the nearest name, another `PluginError` for a plugin that cannot be used, and `ConfigError`
    for a parameter that it does not take.

    >>> create(DataSet, "digits", {"size": 8}).size
    8
    """
    bare, colon, variant = (name, "", "") if is_file(name) else name.partition(":")
    cls = load(kind, bare)
    if not colon:
        return cls(**(params or {}))
    if "variant" not in cls.model_fields:
        raise PluginNotFound(f"{cls.kind} {bare!r} takes nothing after a colon, got {name!r}")
    return cls(**{"variant": variant} | dict(params or {}))


def fault(entry: PluginEntry) -> BrokenPlugin | None:
    """Import a plugin and return why it cannot be used, or None when it can."""
    try:
        _import(entry)
    except PluginError as error:
        cause = error.__cause__ or error
        return BrokenPlugin(
            entry, _reason(error), str(error), "".join(traceback.format_exception(cause))
        )
    return None


def clashes(kind: str) -> list[BrokenPlugin]:
    """Return the names that several packages claim."""
    by_name: dict[str, list[PluginEntry]] = defaultdict(list)
    for entry in entries(kind):
        by_name[entry.name].append(entry)
    return [
        BrokenPlugin(
            claims[0],
            "name-clash",
            f"{name!r} is provided by {', '.join(e.provider for e in claims)}",
            "",
        )
        for name, claims in by_name.items()
        if len(claims) > 1
    ]


def _reason(error: PluginError) -> str:
    if isinstance(error, ApiTooNew):
        return "api-too-new"
    return "contract" if isinstance(error, ContractBroken) else "import-error"


def _import(entry: PluginEntry) -> type[Plugin]:
    from benchbd.plugin.plugin import Plugin

    try:
        with limit_time(import_seconds()):
            cls = EntryPoint(entry.name, entry.target, f"benchbd.{entry.kind}").load()
    except (Exception, SystemExit, ImportTimeout) as error:
        raise PluginError(
            f"{entry.kind} {entry.name!r} of {entry.provider} {entry.version} cannot be imported: "
            f"{import_fault(error)}; `benchbd plugins -v` shows where"
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, Plugin) and cls.kind == entry.kind):
        raise ContractBroken(
            f"{entry.kind} {entry.name!r}: expected {entry.target} to be a class of the "
            f"{entry.kind} family "
            f"from benchbd.api, found {cls!r}"
        )
    cls.require_contract()
    if cls.name != entry.name:
        raise ContractBroken(
            f"{entry.kind} {entry.name!r}: its class {entry.target} calls itself {cls.name!r}; "
            f"rename the entry point, or state `name = {entry.name!r}` in the class"
        )
    return cls


def _entry(kind: str, point: DeclaredPoint) -> PluginEntry:
    package = point.value.partition(":")[0].partition(".")[0]
    card = catalogue(package).get(kind, {}).get(point.name, {})
    return PluginEntry(kind, point.name, point.provider, point.version, point.value, card)


@cache
def catalogue(package: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what the registry.yaml of a package says about its plugins: kind -> name -> card. The
    package is not imported.

    A registry file that cannot be read counts as absent; `benchbd check` tells its author about it.
    """
    path = package_file(package, CATALOGUE_FILE)
    return _read_catalogue(path) if path else {}


def package_file(package: str, name: str) -> Path | None:
    """Return the file of that name in a package's folder, or None. The package is not imported."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    folders = (spec.submodule_search_locations or []) if spec else []
    paths = [Path(folder) / name for folder in folders]
    return next((path for path in paths if path.is_file()), None)


def catalogue_fault(package: str) -> str:
    """Return why the registry.yaml of a package, or a part of it, cannot be read; empty when it can
    be read or does not exist.
    """
    path = package_file(package, CATALOGUE_FILE)
    content = _content(path) if path else {}
    if isinstance(content, str):
        return content
    return next((fault for kind in content.values() for fault in _card_faults(kind)), "")


def _content(path: Path) -> dict[str, Any] | str:
    """Return the content of a registry file, or a text that says why it cannot be read."""
    try:
        content = load_yaml(path)
    except ConfigError as error:
        return str(error)
    return (
        content
        if isinstance(content, dict)
        else f"expected kinds with names, such as `defense: {{...}}`, got {content!r}"
    )


def _read_catalogue(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    content = _content(path)
    if isinstance(content, str):
        return {}
    return {
        kind: {name: _card(card) for name, card in cards.items() if isinstance(card, dict)}
        for kind, cards in content.items()
        if isinstance(cards, dict)
    }


def _card(content: dict[Any, Any]) -> dict[str, Any]:
    """Return the entries of a card that have the right shape; `catalogue_fault` reports the
    others.
    """
    return {word: value for word, value in content.items() if _has_shape(word, value)}


def _card_faults(cards: Any) -> Iterator[str]:
    for name, card in cards.items() if isinstance(cards, dict) else ():
        for word, value in card.items() if isinstance(card, dict) else ():
            if not _has_shape(word, value):
                shape = CARD_SHAPES.get(word, str).__name__
                yield f"{name}: {word}: expected a {shape}, got {str(value)[:80]!r}"


def _has_shape(word: Any, value: Any) -> bool:
    shape = CARD_SHAPES.get(word)
    return isinstance(word, str) and (
        isinstance(value, shape) if shape else not isinstance(value, list | dict)
    )
