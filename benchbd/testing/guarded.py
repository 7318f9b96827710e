"""A case that notes what a defense takes from it: clean samples, and anything that only the core may see."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchbd.api import CleanSet
from benchbd.defense.case import Case
from benchbd.engine.hardware import Hardware
from benchbd.record.attack_result import AttackResult

CORE = "benchbd."


@dataclass(frozen=True, eq=False)
class GuardedCase(Case):
    """`taken`: sizes of the clean sets handed out. `seen`: what code outside of the core looked at."""

    taken: list[int] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    @classmethod
    def over(cls, result: AttackResult, machine: Hardware, defense: str, budget: float) -> GuardedCase:
        seen: list[str] = []
        guarded: Any = _Guarded(result, seen)
        return cls(guarded, machine, defense, budget, seen=seen)

    @property
    def result(self) -> AttackResult:
        """What lies behind the guard."""
        result: AttackResult = object.__getattribute__(self.attack, "_result")
        return result

    def clean(self, ratio: float | None, index: Path | None) -> CleanSet:
        handed = super().clean(ratio, index)
        self.taken.append(len(handed))
        return handed


class _Guarded:
    """An attack result that notes by whom it is read."""

    def __init__(self, result: AttackResult, seen: list[str]) -> None:
        self._result, self._seen = result, seen

    def __getattribute__(self, name: str) -> Any:
        result = object.__getattribute__(self, "_result")
        reader = sys._getframe(1).f_globals.get("__name__", "")
        if not reader.startswith(CORE):
            object.__getattribute__(self, "_seen").append(name)
        return getattr(result, name)
