"""The board as it last came out with a version, so that the page can say what is new since.

`last_version.json` beside the results is written by `benchbd leaderboard version` and not by a
build: the same results give the same page until the next version comes out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from benchbd.errors import RecordError
from benchbd.leaderboard.board.row import METRICS
from benchbd.measure.shares import percent
from benchbd.record.files import read_json

ChangeKind = Literal["new", "gone", "changed"]
KINDS: tuple[ChangeKind, ...] = ("new", "gone", "changed")

CellPlace = tuple[str, str, str, int]
"""Title of the table, attack, defense, seed."""

Outcomes = Mapping[CellPlace, str]
"""How each cell ended, in words."""


class LastVersion(BaseModel):
    """Outcomes by table, attack, defense and seed. newest: the day of its newest result; board: the
    digits by which it is cited.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    board: str
    newest: str
    tables: dict[str, dict[str, dict[str, dict[int, str]]]]

    @property
    def outcomes(self) -> dict[CellPlace, str]:
        """The same by place."""
        return {
            (title, attack, defense, seed): words
            for title, attacks in self.tables.items()
            for attack, defenses in attacks.items()
            for defense, seeds in defenses.items()
            for seed, words in seeds.items()
        }


def nested(outcomes: Outcomes) -> dict[str, dict[str, dict[str, dict[int, str]]]]:
    """Return outcomes as `LastVersion.tables` has them."""
    tables: dict[str, dict[str, dict[str, dict[int, str]]]] = {}
    for (title, attack, defense, seed), words in sorted(outcomes.items()):
        tables.setdefault(title, {}).setdefault(attack, {}).setdefault(defense, {})[seed] = words
    return tables


def read_last_version(path: Path) -> LastVersion | None:
    """Return what a file holds; None when there is no such file. Raises `RecordError`."""
    if not path.exists():
        return None
    try:
        return LastVersion.model_validate(read_json(path))
    except ValidationError as error:
        raise RecordError(
            f"{path} is not the last version of a board: {error.errors()[0]['msg']}; "
            "`benchbd leaderboard version` writes it"
        ) from None


def outcome(code: str, metrics: Mapping[str, Any]) -> str:
    """Return `ACC 97.2 ASR 1.3 RC 95.0 DER 98.1`, or how the cell ended.

    >>> outcome("timeout", {})
    'timeout'
    """
    if code != "ok":
        return code
    return " ".join(f"{name.upper()} {percent(metrics[name])}" for name in METRICS)


@dataclass(frozen=True, slots=True)
class ChangedCell:
    """A cell that came, went or changed; empty where it was not there."""

    kind: ChangeKind
    place: CellPlace
    before: str
    after: str

    @property
    def move(self) -> float:
        """By how many points its ASR changed; 0 where it had none before or has none now."""
        shares = [_asr(words) for words in (self.before, self.after)]
        return abs(shares[1] - shares[0]) if None not in shares else 0.0  # type: ignore[operator]


def changes(before: Outcomes, after: Outcomes) -> Iterator[ChangedCell]:
    """Yield what differs, in the order of the places."""
    for place in sorted(before.keys() | after.keys()):
        old, new = before.get(place, ""), after.get(place, "")
        if old != new:
            yield ChangedCell(
                "changed" if old and new else "new" if new else "gone", place, old, new
            )


def by_table(found: Iterable[ChangedCell]) -> dict[str, list[int]]:
    """Return how many cells of each table came, went and changed."""
    counts: dict[str, Counter[str]] = {}
    for each in found:
        counts.setdefault(each.place[0], Counter())[each.kind] += 1
    return {title: [count[kind] for kind in KINDS] for title, count in sorted(counts.items())}


def _asr(words: str) -> float | None:
    name, _, rest = words.partition(" ASR ")
    share = rest.partition(" ")[0]
    return float(share) if name.startswith("ACC ") and share not in ("", "-") else None
