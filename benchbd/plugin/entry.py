"""What is known of a plugin without importing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KINDS = ("attack", "defense", "model", "dataset", "executor")
"""The kinds of plugins; each has the entry-point group `benchbd.<kind>`."""

FILE_MODULE_PREFIX = "benchbd_file_"
"""How the name begins under which the module of a file that nobody has packaged is imported."""


@dataclass(frozen=True)
class PluginEntry:
    """One registered plugin, known from metadata alone."""

    kind: str
    name: str
    provider: str
    version: str
    target: str
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """What it is in one line, from its card."""
        return str(self.card.get("summary", ""))

    @property
    def family(self) -> str:
        """Its family, from its card."""
        return str(self.card.get("family", ""))
