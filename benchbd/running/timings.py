"""How long stages take, judging by those that are stored."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchbd.record.cell import Cell


@dataclass(frozen=True)
class Timings:
    """Seconds that stored stages took, by the name of their attack or defense."""

    attacks: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    defenses: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, cells: Iterable[Cell]) -> Timings:
        known = cls()
        for cell in cells:
            if cell.status.code == "ok":
                known.attacks[cell.cell.attack.name].append(cell.cost.attack_seconds)
                known.defenses[cell.cell.defense.name].append(cell.cost.defense_seconds + cell.cost.evaluation_seconds)
        return known

    def attack(self, name: str) -> float | None:
        return _mean(self.attacks.get(name))

    def defense(self, name: str) -> float | None:
        return _mean(self.defenses.get(name))


def _mean(seconds: list[float] | None) -> float | None:
    return statistics.fmean(seconds) if seconds else None
