"""Estimates of the duration of stages, made from the stages that are stored."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchbd.matrices.plan import PlannedAttack, PlannedCell
from benchbd.matrices.planned_plugin import PlannedPlugin
from benchbd.matrices.stored_state import StoredState

TimingGroup = tuple[str, PlannedPlugin, PlannedPlugin] | str
"""A plugin on one data set and model, or a plugin anywhere, for data sets and models on which it
has not run yet.
"""


@dataclass(frozen=True)
class Estimate:
    """Seconds of the work whose duration is known. unknown: the number of stages for each plugin of
    which nothing is stored.
    """

    seconds: float
    unknown: Counter[PlannedPlugin]


@dataclass(frozen=True)
class Timings:
    """Seconds that stored stages took, for attacks and for defenses, by group."""

    attacks: dict[TimingGroup, list[float]] = field(default_factory=lambda: defaultdict(list))
    defenses: dict[TimingGroup, list[float]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, standings: Iterable[StoredState]) -> Timings:
        """Return the seconds of all stored stages of a plan that succeeded."""
        known = cls()
        for job, defense, stored in (
            (s.planned.job, s.planned.defense, s.stored) for s in standings
        ):
            if stored is None or stored.status.code != "ok":
                continue
            for where in _places(job.attack, job):
                known.attacks[where].append(stored.cost.attack_seconds)
            for where in _places(defense, job):
                known.defenses[where].append(
                    stored.cost.defense_seconds + stored.cost.evaluation_seconds
                )
        return known

    def estimate(self, attacks: Iterable[PlannedAttack], cells: Iterable[PlannedCell]) -> Estimate:
        """Return how long these attacks and cells will take."""
        times: list[tuple[PlannedPlugin, float | None]]
        times = [(job.attack, _expected(self.attacks, job.attack, job)) for job in attacks]
        times += [
            (cell.defense, _expected(self.defenses, cell.defense, cell.job)) for cell in cells
        ]
        return Estimate(
            sum(t for _, t in times if t is not None),
            Counter(plugin for plugin, t in times if t is None),
        )


def _places(plugin: PlannedPlugin, job: PlannedAttack) -> tuple[TimingGroup, TimingGroup]:
    return (plugin.label, job.dataset, job.model), plugin.label


def _expected(
    seconds: dict[TimingGroup, list[float]], plugin: PlannedPlugin, job: PlannedAttack
) -> float | None:
    return next(
        (statistics.fmean(seconds[where]) for where in _places(plugin, job) if where in seconds),
        None,
    )
