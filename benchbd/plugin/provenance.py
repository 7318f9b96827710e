"""Who provides a plugin, in which version, under which name it is found again, and a digest of its source."""

from __future__ import annotations

import hashlib
import inspect
from functools import cache
from pathlib import Path

from benchbd.plugin.entry import Entry
from benchbd.plugin.loose import DIGITS, PROVIDER, place_of
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.registry import entries


def entry_of(plugin: type[Plugin]) -> Entry | None:
    """The registered entry that leads to this very class; None for a class from a loose file."""
    target = f"{plugin.__module__}:{plugin.__qualname__}"
    return next((e for e in entries(plugin.kind) if e.target == target), None)


def provider_of(plugin: type[Plugin]) -> tuple[str, str]:
    """Distribution and version; for a class from a loose file that, and the first digits of the file's digest."""
    entry = entry_of(plugin)
    if entry is not None:
        return entry.provider, entry.version
    return (PROVIDER, source_digest(plugin)[:DIGITS]) if place_of(plugin) else ("local", "")


def name_for(plugin: type[Plugin]) -> str:
    """The name by which another process finds this very class: its name, `distribution/name` where that is not unique,
    or its file."""
    entry = entry_of(plugin)
    if entry is None:
        return place_of(plugin) or plugin.name
    rivals = [e for e in entries(plugin.kind) if e.name == entry.name]
    return entry.name if len(rivals) == 1 else f"{entry.provider}/{entry.name}"


@cache
def source_digest(plugin: type[Plugin]) -> str:
    """sha256 of the file in which the class is written; empty when there is no such file."""
    try:
        return hashlib.sha256(Path(inspect.getfile(plugin)).read_bytes()).hexdigest()
    except (OSError, TypeError):
        return ""
