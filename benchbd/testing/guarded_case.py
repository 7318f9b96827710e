"""A case that records what a defense takes from it: clean samples, and anything that only the core
may see.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from types import FrameType
from typing import Any

from benchbd.api import CleanSet
from benchbd.defense.case import Case
from benchbd.engine.hardware import Hardware
from benchbd.record.attack_result import AttackResult

CORE_MODULES = "benchbd."
DOORS = ("benchbd.defense.case", "benchbd.testing.")
"""Modules of the core through which reads are allowed: the case hands out a defender's share, and a
check asks for the whole.
"""


@dataclass(frozen=True, eq=False)
class GuardedCase(Case):
    """A case that records what is read. taken: the sizes of the clean sets handed out. seen: what
    code outside of the core read, or let the core read for it.
    """

    taken: list[int] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    @classmethod
    def over(
        cls, result: AttackResult, machine: Hardware, defense: str, budget: float
    ) -> GuardedCase:
        seen: list[str] = []
        guarded: Any = _Guarded(result, seen)
        return cls(guarded, machine, defense, budget, seen=seen)

    @property
    def result(self) -> AttackResult:
        """The attack result without the guard."""
        result: AttackResult = object.__getattribute__(self.attack, "_result")
        return result

    def clean(self, ratio: float | None, index: Path | None) -> CleanSet:
        handed = super().clean(ratio, index)
        self.taken.append(len(handed))
        return handed


class _Guarded:
    """An attack result that records by whom it is read."""

    def __init__(self, result: AttackResult, seen: list[str]) -> None:
        self._result, self._seen = result, seen

    def __getattribute__(self, name: str) -> Any:
        result = object.__getattribute__(self, "_result")
        if not _within_core(sys._getframe(1)):
            object.__getattribute__(self, "_seen").append(name)
        return getattr(result, name)


def _within_core(reader: FrameType) -> bool:
    """Return whether all callers of this read, from the reader out to the nearest module of
    `DOORS`, belong to the core.
    """
    return all(
        name.startswith(CORE_MODULES)
        for name in takewhile(lambda name: not name.startswith(DOORS), _waiting(reader))
    )


def _waiting(frame: FrameType | None) -> Iterator[str]:
    """Yield the modules on the stack, from the inside out."""
    while frame is not None:
        yield frame.f_globals.get("__name__", "")
        frame = frame.f_back
