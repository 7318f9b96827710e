"""The description of one attack stage: its plugins, built and checked, and the device to
work on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from benchbd.attack.attack import Attack
from benchbd.engine.recipe import Recipe
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.provenance import name_for
from benchbd.record.ingredients import Ingredients
from benchbd.record.plugin_record import PluginRecord
from benchbd.victim.dataset import DataSet
from benchbd.victim.model import Model


@dataclass(frozen=True, eq=False)
class AttackJob:
    """Everything that an attack result depends on, and the device on which it is made."""

    dataset: DataSet
    model: Model
    attack: Attack
    recipe: Recipe
    seed: int
    device: str = "auto"

    @cached_property
    def ingredients(self) -> Ingredients:
        """The plugins, the recipe and the seed as they are recorded with the result."""
        return Ingredients(
            dataset=PluginRecord.of(self.dataset),
            model=PluginRecord.of(self.model),
            attack=PluginRecord.of(self.attack),
            recipe=self.recipe.params,
            seed=self.seed,
        )

    @cached_property
    def key(self) -> str:
        """The key of the attack result, 64 hexadecimal digits."""
        return self.ingredients.attack_key

    @property
    def folder_name(self) -> str:
        """The name of the folder under `record/` in which the result is stored."""
        return self.ingredients.folder_name

    @property
    def plugins(self) -> list[Plugin]:
        """The data set, the model and the attack."""
        return [self.dataset, self.model, self.attack]

    @property
    def found_as(self) -> dict[str, str]:
        """The names, by kind, by which another process finds the classes of the plugins."""
        return {plugin.kind: name_for(type(plugin)) for plugin in self.plugins}
