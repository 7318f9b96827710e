"""What a plan needs to know of a plugin with its parameters. Only the plugin's class knows it; once
known, it can be told without the class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchbd.plugin.plugin import Plugin
from benchbd.plugin.provenance import PluginSources, name_for, sources
from benchbd.plugin.registry import create
from benchbd.record.keys import Identity
from benchbd.record.plugin_record import PluginRecord
from benchbd.running.protocol import Choice


@dataclass(frozen=True, eq=False)
class PlannedPlugin:
    """A plugin that stands in many cells. found_as: the name by which another process finds it.

    poison_ratio, controls_training: of an attack. needs_poisoned_set, oracle: of a defense.
    """

    kind: str
    record: PluginRecord
    found_as: str
    sources: PluginSources
    poison_ratio: float = 0.0
    controls_training: bool = False
    needs_poisoned_set: bool = False
    oracle: bool = False

    @classmethod
    def of(cls, plugin: Plugin) -> PlannedPlugin:
        return cls(
            kind=plugin.kind,
            record=PluginRecord.of(plugin),
            found_as=name_for(type(plugin)),
            sources=sources(type(plugin)),
            **_traits(plugin),
        )

    @cached_property
    def identity(self) -> Identity:
        return self.record.identity()

    @property
    def label(self) -> str:
        return self.record.label


Resolve = Callable[[str, Choice], PlannedPlugin]
"""From the kind of a plugin and what a protocol says of it to what a plan needs to know."""


def by_class(kind: str, choice: Choice) -> PlannedPlugin:
    """Return what the plugin's class says. Raises `ConfigError` or `PluginError`."""
    return PlannedPlugin.of(create(kind, choice.name, choice.params))


def _traits(plugin: Plugin) -> dict[str, Any]:
    """Return what decides with which other plugins it meets in a cell."""
    # here, since these modules import torch, and what is known already is read without it
    from benchbd.attack.attack import Attack
    from benchbd.attack.training_controlled import TrainingControlledAttack
    from benchbd.defense.defense import Defense

    if isinstance(plugin, Attack):
        controls_training = plugin.family == TrainingControlledAttack.family
        return {"poison_ratio": plugin.poison_ratio, "controls_training": controls_training}
    if isinstance(plugin, Defense):
        return {"needs_poisoned_set": plugin.needs_poisoned_set, "oracle": plugin.oracle}
    return {}
