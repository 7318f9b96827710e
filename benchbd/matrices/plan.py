"""The plan of a matrix: a pure function from protocol to cells and stages, with no file read and
nothing run.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from benchbd.attack.attack import Attack
from benchbd.defense.defense import Defense
from benchbd.engine.recipe import Recipe
from benchbd.errors import ConfigError, PluginNotFound
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.registry import create, find
from benchbd.record.cell import PluginRecord
from benchbd.record.keys import KEY_DIGITS, Identity, attack_key, cell_key, folder_name, safe_name
from benchbd.running.protocol import Choice, Protocol


@dataclass(frozen=True, eq=False)
class PlannedPlugin:
    """A plugin that was built once and stands in many cells, with its identity for keys. called: by
    the protocol.
    """

    plugin: Plugin
    called: str

    @classmethod
    def build(cls, kind: str, choice: Choice, **more: Any) -> PlannedPlugin:
        return cls(create(kind, choice.name, choice.params | more), choice.called)

    @cached_property
    def provided(self) -> PluginRecord:
        return PluginRecord.of(self.plugin)

    @cached_property
    def identity(self) -> Identity:
        return self.provided.identity()

    @cached_property
    def label(self) -> str:
        """The name, with the variant of a provider."""
        variant = self.provided.params.get("variant")
        return f"{self.provided.name}:{variant}" if variant else self.provided.name

    @cached_property
    def folder(self) -> str:
        """The label as a part of a path."""
        return safe_name(self.label)


@dataclass(frozen=True, eq=False)
class AttackStage:
    """One attacked model: what it is made of."""

    dataset: PlannedPlugin
    model: PlannedPlugin
    attack: PlannedPlugin
    recipe: Recipe
    seed: int

    @cached_property
    def key(self) -> str:
        return attack_key(
            self.dataset.identity,
            self.model.identity,
            self.attack.identity,
            self.recipe.params,
            self.seed,
        )

    @property
    def folder_name(self) -> str:
        return folder_name(
            self.attack.label, self.dataset.label, self.model.label, self.seed, self.key
        )


@dataclass(frozen=True, eq=False)
class PlannedCell:
    """One cell: an attack stage and the defense that starts from it. `excluded` says why it cannot
    apply.
    """

    stage: AttackStage
    defense: PlannedPlugin
    clean_budget: float
    protocol: str
    excluded: str = ""

    @cached_property
    def key(self) -> str:
        return cell_key(self.stage.key, self.defense.identity, self.clean_budget, self.protocol)

    @property
    def plugins(self) -> list[Plugin]:
        stage = self.stage
        return [stage.dataset.plugin, stage.model.plugin, stage.attack.plugin, self.defense.plugin]

    @cached_property
    def result_name(self) -> str:
        """Where its result stands under the results folder."""
        protocol, seed = self.protocol.partition("@")[0], self.stage.seed
        folder = f"{protocol}/{self.stage.attack.folder}/{self.defense.folder}"
        return f"{folder}/{seed}-{self.key[:KEY_DIGITS]}.json"


@dataclass(frozen=True, eq=False)
class Selection:
    """A part of a protocol, named on the command line; empty means all.

    An attack or a defense that the protocol does not name takes part at its defaults: so a new
    method runs a protocol.
    """

    attacks: Sequence[str] = ()
    defenses: Sequence[str] = ()
    seeds: Sequence[int] = ()


def plan(protocol: Protocol, selection: Selection | None = None) -> Iterator[PlannedCell]:
    """All wanted cells, each once, those that share an attacked model together. Raises
    `ConfigError` or `PluginError`.
    """
    chosen = selection or Selection()
    protocol = _with_newcomers(protocol, chosen)
    defenses = [
        PlannedPlugin.build("defense", d) for d in protocol.defenses if _in(d, chosen.defenses)
    ]
    seen: set[str] = set()
    for stage in _stages(protocol, chosen):
        for defense in defenses:
            if not protocol.wants(**_coordinates(stage, defense)):
                continue
            cell = PlannedCell(
                stage, defense, protocol.clean_budget, protocol.id, _excluded(stage, defense)
            )
            if cell.key not in seen:
                seen.add(cell.key)
                yield cell


def _with_newcomers(protocol: Protocol, chosen: Selection) -> Protocol:
    """The protocol, joined by what was chosen and it does not name.

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


def _stages(protocol: Protocol, chosen: Selection) -> Iterator[AttackStage]:
    datasets = [PlannedPlugin.build("dataset", d) for d in protocol.datasets]
    models = [PlannedPlugin.build("model", m) for m in protocol.models]
    attacks = [
        a
        for choice in protocol.attacks
        if _in(choice, chosen.attacks)
        for a in _attacks(protocol, choice)
    ]
    seeds = [seed for seed in protocol.seeds if not chosen.seeds or seed in chosen.seeds]
    for dataset, model, attack, seed in itertools.product(datasets, models, attacks, seeds):
        yield AttackStage(dataset, model, attack, protocol.recipe, seed)


def _attacks(protocol: Protocol, choice: Choice) -> Iterator[PlannedPlugin]:
    """An attack once, or once for each poison ratio of the protocol; an attack that poisons nothing
    stays as it is.
    """
    plain = PlannedPlugin.build("attack", choice)
    if not protocol.poison_ratios or cast(Attack, plain.plugin).poison_ratio == 0:
        yield plain
        return
    for ratio in protocol.poison_ratios:
        yield PlannedPlugin.build("attack", choice, poison_ratio=ratio)


def _coordinates(stage: AttackStage, defense: PlannedPlugin) -> dict[str, Any]:
    return {
        "dataset": stage.dataset.called,
        "model": stage.model.called,
        "attack": stage.attack.called,
        "defense": defense.called,
        "seed": stage.seed,
        "poison_ratio": cast(Attack, stage.attack.plugin).poison_ratio,
    }


def _excluded(stage: AttackStage, defense: PlannedPlugin) -> str:
    """Why a defense cannot apply to an attack of that stage; known without running either."""
    needs_poisoned_set = cast(Defense, defense.plugin).needs_poisoned_set
    if needs_poisoned_set and cast(Attack, stage.attack.plugin).stage == "training-controlled":
        return (
            f"{stage.attack.label} controls training itself and leaves no poisoned set for "
            f"{defense.label} to work on"
        )
    return ""


def _in(choice: Choice, wanted: Sequence[str]) -> bool:
    return not wanted or choice.called in wanted
