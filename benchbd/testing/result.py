"""What comes out of a check, and what it raises on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

CheckLevel = Literal["api", "smoke", "full"]
LEVELS: tuple[CheckLevel, ...] = ("api", "smoke", "full")
"""api: the class alone, in seconds. smoke: its verbs on tiny data with quick parameters. full: with
its defaults, too.
"""

CheckCode = Literal["passed", "failed", "expected", "n/a", "skipped"]


NOT_TRIED = "not tried"
"""How the message of a check begins that was left out, since the plugin cannot be used at all."""


class RuleBroken(Exception):
    """What a check raises: which rule, what was expected, what came, what to do."""


class NotSeen(Exception):
    """What a check raises when there is nothing to look at: another one has reported why, or this
    process cannot show it.
    """


@dataclass(frozen=True)
class Result:
    """How a check of a plugin came out. `expected`: it failed, and the caller had said
    so and why.
    """

    plugin: str
    check: str
    rule: str
    status: CheckCode
    message: str = ""
    seconds: float = 0.0
    traceback: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def failures(results: Iterable[Result]) -> list[Result]:
    """Return those that did not come out as they should."""
    return [result for result in results if result.status == "failed"]
