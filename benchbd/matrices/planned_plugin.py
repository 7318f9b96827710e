"""The facts about a plugin with its parameters that a plan needs. The class of the plugin is the
source; the plan can also take it from a store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchbd.plugin.plugin import Plugin
from benchbd.plugin.provenance import PluginSources, name_for, sources
from benchbd.plugin.registry import create, load
from benchbd.record.keys import Identity
from benchbd.record.plugin_record import PluginRecord
from benchbd.running.protocol import Choice


@dataclass(frozen=True, eq=False)
class PlannedPlugin:
    """A plugin of one or many cells. found_as: the name by which another process finds it.
    poison_ratio, controls_training: facts about an attack; the latter is whether it trains the
    victim and leaves no poisoned set. needs_poisoned_set, oracle, draws_clean_data: facts about a
    defense.
    """

    kind: str
    record: PluginRecord
    found_as: str
    sources: PluginSources
    poison_ratio: float = 0.0
    controls_training: bool = False
    needs_poisoned_set: bool = False
    oracle: bool = False
    draws_clean_data: bool = False

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

    def clean_share(self, budget: float) -> float | None:
        """Return the share of the training set that a defense draws as clean data, where the
        protocol gives it this budget; None for one that draws nothing.
        """
        own: float | None = self.record.params.get("ratio")
        return (budget if own is None else own) if self.draws_clean_data else None


Resolve = Callable[[str, Choice, Choice | None], PlannedPlugin]
"""A function from the kind of a plugin and its choice in a protocol to the planned plugin. For an
attack, the third argument is the choice of the data set whose classes it may name.
"""


def by_class(kind: str, choice: Choice, dataset: Choice | None = None) -> PlannedPlugin:
    """Return what the class of the plugin says. Raises `ConfigError`, `PluginError`, or, where a
    class is named, `DataError`.
    """
    return PlannedPlugin.of(create(kind, choice.name, numbered_params(kind, choice, dataset)))


def numbered_params(kind: str, choice: Choice, dataset: Choice | None) -> dict[str, Any]:
    """Return the parameters of the choice, with the numbers of classes instead of their names."""

    def class_names() -> Sequence[str]:
        from benchbd.victim.dataset import DataSet

        assert dataset is not None, "only attacks name classes, and they are planned on a data set"
        return create(DataSet, dataset.name, dataset.params).load("train").class_names

    if dataset is None:
        return choice.params
    from benchbd.running.named_classes import with_class_numbers  # imports torch

    return with_class_numbers(load(kind, choice.name), choice.params, class_names)


def _traits(plugin: Plugin) -> dict[str, Any]:
    """Return the facts that decide with which other plugins it shares a cell."""
    # imported here, because these modules import torch, which stored facts do not need
    from benchbd.attack.attack import Attack
    from benchbd.attack.training_controlled import TrainingControlledAttack
    from benchbd.defense.defense import CleanDataDefense, Defense

    if isinstance(plugin, Attack):
        hides_set = isinstance(plugin, TrainingControlledAttack) and not plugin.leaves_poisoned_set
        return {"poison_ratio": plugin.poison_ratio, "controls_training": hides_set}
    if isinstance(plugin, Defense):
        draws = isinstance(plugin, CleanDataDefense) and plugin.index is None
        return {
            "needs_poisoned_set": plugin.needs_poisoned_set,
            "oracle": plugin.oracle,
            "draws_clean_data": draws,
        }
    return {}
