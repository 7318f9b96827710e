"""One check: the rule that it holds a plugin to, for whom it is, how much work it takes, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from benchbd.plugin.plugin import Plugin
    from benchbd.testing.subject import Subject

Level = Literal["api", "smoke", "full"]
LEVELS: tuple[Level, ...] = ("api", "smoke", "full")
"""api: the class alone, in seconds. smoke: its verbs on tiny data with quick parameters. full: with its defaults, too."""

Code = Literal["passed", "failed", "expected", "n/a", "skipped"]


NOT_TRIED = "not tried"
"""How the message of a check begins that was left out, since the plugin cannot be used at all."""


class RuleBroken(Exception):
    """What a check raises: which rule, what was expected, what came, what to do."""


class NotSeen(Exception):
    """What a check raises when another one has already reported why there is nothing to look at."""


@dataclass(frozen=True)
class Check:
    """`rule` is the first line of its docstring; `apart` says whether it starts a process."""

    name: str
    rule: str
    level: Level
    wants: Callable[[type[Plugin]], bool]
    run: Callable[[Subject], None]
    apart: bool = False


@dataclass(frozen=True)
class Result:
    """How a check of a plugin came out. `expected`: it failed, and the caller had said so and why."""

    plugin: str
    check: str
    rule: str
    status: Code
    message: str = ""
    seconds: float = 0.0
    traceback: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


CHECKS: list[Check] = []


def check(
    level: Level, *families: type[Plugin], but: Callable[[type[Any]], bool] = lambda cls: False, apart: bool = False
) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Register a function as a check of `families`, of every plugin without any; `but` leaves some of them out.

    apart: it starts a process of its own, which takes seconds.
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


def failures(results: Iterable[Result]) -> list[Result]:
    """Those that did not come out as they should."""
    return [result for result in results if result.status == "failed"]
