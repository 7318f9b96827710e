"""Who provides a plugin, in which version, and a digest of its source."""

from __future__ import annotations

import hashlib
import inspect
from functools import cache
from pathlib import Path

from benchbd.plugin.plugin import Plugin
from benchbd.plugin.registry import Entry, entries


def entry_of(plugin: type[Plugin]) -> Entry | None:
    """The registered entry that leads to this very class; None for a class from a loose file."""
    target = f"{plugin.__module__}:{plugin.__qualname__}"
    return next((e for e in entries(plugin.kind) if e.target == target), None)


@cache
def source_digest(plugin: type[Plugin]) -> str:
    """sha256 of the file in which the class is written; empty when there is no such file."""
    try:
        return hashlib.sha256(Path(inspect.getfile(plugin)).read_bytes()).hexdigest()
    except (OSError, TypeError):
        return ""
