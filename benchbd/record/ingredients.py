"""The identity of an attacked model and of a cell, the same in plans, stages and results."""

from __future__ import annotations

from typing import Any

from benchbd.record.keys import (
    MODEL_ONLY,
    attack_key,
    cell_key,
    folder_name,
    result_name,
    strip_name,
)
from benchbd.record.part import StoredPart
from benchbd.record.plugin_record import PluginRecord


class Ingredients(StoredPart):
    """The ingredients of an attacked model: plugins with their parameters, recipe and seed."""

    dataset: PluginRecord
    model: PluginRecord
    attack: PluginRecord
    recipe: dict[str, Any]
    seed: int

    @property
    def attack_key(self) -> str:
        """The key of the attacked model. It is the same whoever makes the model, and wherever."""
        plugins = (self.dataset.identity(), self.model.identity(), self.attack.identity())
        return attack_key(*plugins, self.recipe, self.seed)

    @property
    def folder_name(self) -> str:
        """A name for its folder that tells a person what is inside, made unique by the key."""
        labels = (self.attack.label, self.dataset.label, self.model.label)
        return folder_name(*labels, self.seed, self.attack_key)

    @property
    def strip_name(self) -> str:
        """The name of the strip of its images, beside the results of its attack."""
        return strip_name(self.dataset.label, self.dataset.signature, self.attack.signature)

    def may_be_attacked(self, family: str) -> bool:
        """Return whether its model may hold a backdoor: all but those of which no image was
        poisoned. family: that of the attack. A model that came without its training set may be
        attacked, because nothing is known about it.
        """
        return family == MODEL_ONLY or self.attack.params.get("poison_ratio") != 0

    def coordinates(self, defense: PluginRecord, clean_budget: float) -> Coordinates:
        """Return the cell in which a defense with this share of clean data meets the attacked
        model.
        """
        mine = {name: getattr(self, name) for name in Ingredients.model_fields}
        return Coordinates(**mine, defense=defense, clean_budget=clean_budget)


class Coordinates(Ingredients):
    """The coordinates of a cell: an attacked model, and the defense that meets it.

    clean_budget: share of the training set that the defense may hold as clean data.
    """

    defense: PluginRecord
    clean_budget: float

    def key(self, protocol: str) -> str:
        """Return the key of the cell in this protocol."""
        return cell_key(self.attack_key, self.defense.identity(), self.clean_budget, protocol)

    def result_name(self, protocol: str) -> str:
        """Its name in a store of results, `<protocol>/<attack>/<defense>/<seed>-<key>.json`."""
        labels = (self.attack.label, self.defense.label)
        return result_name(protocol, *labels, self.seed, self.key(protocol))

    def defended_by(self, defense: PluginRecord) -> Coordinates:
        """Return the cell in which another defense meets the same attacked model."""
        return self.model_copy(update={"defense": defense})
