"""What is known about a plugin without importing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KINDS = ("attack", "defense", "analysis", "model", "dataset", "executor")
"""The kinds of plugins; each has the entry-point group `benchbd.<kind>`."""

PLURALS = {kind: f"{kind}s" for kind in KINDS} | {"analysis": "analyses"}
"""What several plugins of a kind are called."""

BUNDLED_PROVIDER = "benchbd"
"""The distribution whose plugins are the bundled ones, those that come with benchbd."""

COST_CLASSES = {
    "Z": "reads weights alone, seconds",
    "F": "forward passes only",
    "S": "a short optimisation on few images",
    "M": "a twentieth to half of a training",
    "R": "one or two trainings",
    "X": "more than three trainings",
}
"""What a method costs, by the letter on its card, in units of one training of the victim."""

FILE_MODULE_PREFIX = "benchbd_file_"
"""First part of the name under which an unpackaged file is imported as a module."""


@dataclass(frozen=True)
class PluginEntry:
    """One registered plugin, as far as metadata alone describe it."""

    kind: str
    name: str
    provider: str
    version: str
    target: str
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The description of the plugin in one line, from its card."""
        return str(self.card.get("summary", ""))

    @property
    def family(self) -> str:
        """The family of the plugin, from its card."""
        return str(self.card.get("family", ""))
