"""The plan of a matrix: a pure function from a protocol to cells and stages, which reads no results
and runs nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchbd.engine.recipe import Recipe
from benchbd.errors import ConfigError, PluginNotFound
from benchbd.matrices.planned_plugin import PlannedPlugin, Resolve, by_class
from benchbd.plugin.provenance import PluginSources
from benchbd.plugin.registry import find
from benchbd.record.ingredients import Coordinates, Ingredients
from benchbd.record.keys import cell_key, result_name
from benchbd.running.protocol import Choice, Protocol


@dataclass(frozen=True, eq=False)
class PlannedAttack:
    """An attacked model from which cells start."""

    dataset: PlannedPlugin
    model: PlannedPlugin
    attack: PlannedPlugin
    recipe: Recipe
    seed: int

    @cached_property
    def ingredients(self) -> Ingredients:
        return Ingredients(
            dataset=self.dataset.record,
            model=self.model.record,
            attack=self.attack.record,
            recipe=self.recipe.params,
            seed=self.seed,
        )

    @cached_property
    def key(self) -> str:
        return self.ingredients.attack_key

    @cached_property
    def folder_name(self) -> str:
        return self.ingredients.folder_name

    @property
    def sources(self) -> list[PluginSources]:
        return [self.dataset.sources, self.model.sources, self.attack.sources]

    @property
    def found_as(self) -> dict[str, str]:
        """The names, by kind, by which another process finds its plugins."""
        return {each.kind: each.found_as for each in (self.dataset, self.model, self.attack)}


@dataclass(frozen=True, eq=False)
class PlannedCell:
    """One cell: an attacked model, and the defense that starts from it. `excluded` says why the
    defense cannot apply; it is empty if it can.
    """

    job: PlannedAttack
    defense: PlannedPlugin
    clean_budget: float
    protocol: str
    excluded: str = ""

    @cached_property
    def key(self) -> str:
        return cell_key(self.job.key, self.defense.identity, self.clean_budget, self.protocol)

    @property
    def clean_share(self) -> float | None:
        """The share of the training set that the defense draws as clean data; None where it draws
        nothing.
        """
        return self.defense.clean_share(self.clean_budget)

    @property
    def coordinates(self) -> Coordinates:
        return self.job.ingredients.coordinates(self.defense.record, self.clean_budget)

    @property
    def sources(self) -> list[PluginSources]:
        return [*self.job.sources, self.defense.sources]

    @cached_property
    def result_name(self) -> str:
        """The place of its result under the results folder."""
        labels = (self.job.attack.label, self.defense.label)
        return result_name(self.protocol, *labels, self.job.seed, self.key)


@dataclass(frozen=True, eq=False)
class Selection:
    """A part of a protocol, named on the command line. An empty field means all.

    An attack or a defense that the protocol does not name is added at its defaults, so that a new
    method can run a protocol.
    """

    attacks: Sequence[str] = ()
    defenses: Sequence[str] = ()
    seeds: Sequence[int] = ()


def plan(
    protocol: Protocol, selection: Selection | None = None, resolve: Resolve = by_class
) -> Iterator[PlannedCell]:
    """Yield all wanted cells, each once, with those that share an attacked model together. Raises
    `ConfigError` or `PluginError`.
    """
    chosen = selection or Selection()
    protocol = _with_newcomers(protocol, chosen)
    defenses = [
        (choice.called, resolve("defense", choice, None))
        for choice in protocol.defenses
        if _in(choice, chosen.defenses)
    ]
    seen: set[str] = set()
    for coordinates, job in _jobs(protocol, chosen, resolve):
        for called, defense in defenses:
            if not protocol.wants(**coordinates, defense=called):
                continue
            excluded = _excluded(job, defense)
            cell = PlannedCell(job, defense, protocol.clean_budget, protocol.id, excluded)
            if cell.key not in seen:
                seen.add(cell.key)
                yield cell


def _with_newcomers(protocol: Protocol, chosen: Selection) -> Protocol:
    """Return the protocol with the chosen methods added that it does not name.

    Raises `ConfigError` for a name that no plugin has either, and for a seed that would have no
    cells.
    """
    for seed in set(chosen.seeds) - set(protocol.seeds):
        raise ConfigError(
            f"{protocol.name} has no seed {seed}; it has {', '.join(map(str, protocol.seeds))}"
        )
    for kind, names in (("attack", chosen.attacks), ("defense", chosen.defenses)):
        there = [choice.called for choice in protocol.choices[kind]]
        for name in names:
            try:
                if name not in there:
                    find(kind, name)
                    protocol = protocol.joined(kind, name)
            except PluginNotFound as error:
                raise ConfigError(
                    f"{protocol.name} has the {kind}s {', '.join(there)}; there is {error}"
                ) from None
    return protocol


def _jobs(
    protocol: Protocol, chosen: Selection, resolve: Resolve
) -> Iterator[tuple[dict[str, Any], PlannedAttack]]:
    """Yield every attacked model, with the coordinates that rules use."""
    datasets = [(choice, resolve("dataset", choice, None)) for choice in protocol.datasets]
    models = [(choice.called, resolve("model", choice, None)) for choice in protocol.models]
    seeds = [seed for seed in protocol.seeds if not chosen.seeds or seed in chosen.seeds]
    for choice, dataset in datasets:
        attacks = [
            (each.called, attack)
            for each in protocol.attacks
            if _in(each, chosen.attacks)
            for attack in _attacks(protocol, each, resolve, choice)
        ]
        for model, attack, seed in itertools.product(models, attacks, seeds):
            coordinates = {
                "dataset": choice.called,
                "model": model[0],
                "attack": attack[0],
                "seed": seed,
                "poison_ratio": attack[1].poison_ratio,
            }
            yield coordinates, PlannedAttack(dataset, model[1], attack[1], protocol.recipe, seed)


def _attacks(
    protocol: Protocol, choice: Choice, resolve: Resolve, dataset: Choice
) -> Iterator[PlannedPlugin]:
    """Yield an attack on a data set once, or once for each poison ratio of the protocol. An attack
    that poisons nothing stays as it is.
    """
    plain = resolve("attack", choice, dataset)
    if not protocol.poison_ratios or plain.poison_ratio == 0:
        yield plain
        return
    for ratio in protocol.poison_ratios:
        params = choice.params | {"poison_ratio": ratio}
        yield resolve("attack", Choice(name=choice.name, params=params), dataset)


def _excluded(job: PlannedAttack, defense: PlannedPlugin) -> str:
    """Return why a defense cannot apply to an attack of that family, or an empty text. It is known
    without running either.
    """
    if defense.needs_poisoned_set and job.attack.controls_training:
        return (
            f"{job.attack.label} controls training itself and leaves no poisoned set for "
            f"{defense.label} to work on"
        )
    return ""


def _in(choice: Choice, wanted: Sequence[str]) -> bool:
    return not wanted or choice.called in wanted
