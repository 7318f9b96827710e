"""One check: the rule that a plugin has to keep, the families it is for, and how much work it
takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchbd.plugin.plugin import Plugin
from benchbd.testing.result import CheckLevel, RuleBroken
from benchbd.testing.subject import Subject


@dataclass(frozen=True)
class Check:
    """A check of plugins. rule: the first line of its docstring. apart: whether it starts a
    process.
    """

    name: str
    rule: str
    level: CheckLevel
    wants: Callable[[type[Plugin]], bool]
    run: Callable[[Subject], None]
    apart: bool = False


CHECKS: list[Check] = []


def check(
    level: CheckLevel,
    *families: type[Plugin],
    but: Callable[[type[Any]], bool] = lambda cls: False,
    apart: bool = False,
) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Register a function as a check of `families`, or of every plugin without any; `but` leaves
    some of them out.

    apart: whether it starts a process of its own, which takes seconds.
    """

    def register(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
        def wants(cls: type[Plugin]) -> bool:
            return (not families or issubclass(cls, families)) and not but(cls)

        rule = (function.__doc__ or "").partition("\n")[0]
        CHECKS.append(Check(function.__name__, rule, level, wants, function, apart))
        return function

    return register


def require(condition: bool, message: str) -> None:
    """Raise `RuleBroken` unless `condition`."""
    if not condition:
        raise RuleBroken(message)
