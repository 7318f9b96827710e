"""The result of a check, and the errors that a check raises."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

CheckLevel = Literal["api", "smoke", "full"]
CHECK_LEVELS: tuple[CheckLevel, ...] = ("api", "smoke", "full")
"""The amount of work that checks may do. api: the class alone, in seconds. smoke: its verbs on tiny
data with quick parameters. full: its verbs with their defaults, too.
"""

CheckCode = Literal["passed", "failed", "expected", "n/a", "skipped"]


NOT_TRIED = "not tried"
"""First words of the message of a check that was left out because the plugin cannot be used
at all.
"""


class RuleBroken(Exception):
    """Raised by a check for a plugin that breaks its rule. The message says what was expected, what
    came, and what to do.
    """


class NotSeen(Exception):
    """Raised by a check that has nothing to look at, because another check has reported why, or
    because this process cannot show it.
    """


@dataclass(frozen=True)
class Result:
    """The result of a check of a plugin. expected: the reason why the caller expected the
    failure.
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
    """Return the results that are neither passed nor expected to fail."""
    return [result for result in results if result.status == "failed"]
