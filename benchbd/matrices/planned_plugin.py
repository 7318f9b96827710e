"""What a plan needs to know about a plugin with its parameters. The class of the plugin is the
source; the plan can also take it from a store.
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
    """A plugin of one or many cells. found_as: the name by which another process finds it.
    poison_ratio, controls_training: facts about an attack; the latter is whether it trains the
    victim and leaves no poisoned set. needs_poisoned_set, oracle: facts about a defense.
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
"""A function from the kind of a plugin and its choice in a protocol to the planned plugin."""


def by_class(kind: str, choice: Choice) -> PlannedPlugin:
    """Return what the class of the plugin says. Raises `ConfigError` or `PluginError`."""
    return PlannedPlugin.of(create(kind, choice.name, choice.params))


def _traits(plugin: Plugin) -> dict[str, Any]:
    """Return the facts that decide with which other plugins it shares a cell."""
    # imported here, because these modules import torch, which stored facts do not need
    from benchbd.attack.attack import Attack
    from benchbd.attack.training_controlled import TrainingControlledAttack
    from benchbd.defense.defense import Defense

    if isinstance(plugin, Attack):
        hides_set = isinstance(plugin, TrainingControlledAttack) and not plugin.leaves_poisoned_set
        return {"poison_ratio": plugin.poison_ratio, "controls_training": hides_set}
    if isinstance(plugin, Defense):
        return {"needs_poisoned_set": plugin.needs_poisoned_set, "oracle": plugin.oracle}
    return {}
