"""In which order the classes of a data set are numbered, where a person has something to say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from benchbd.api import ConfigError

ClassName = Annotated[str, Field(coerce_numbers_to_str=True)]
ClassOrder = Literal["natural"] | tuple[ClassName, ...] | Path

MEANING = (
    "order of the classes: natural (2 before 10), a list of their names, or a file with one name "
    "a line or JSON"
)
MOST_BYTES = 2**22
"""The longest file of class names that is read."""


def natural(name: str) -> list[tuple[int, str]]:
    """What names are sorted by for numbers in them to count as numbers.

    >>> sorted(["10", "9"], key=natural)
    ['9', '10']
    """
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def misplaced(names: Sequence[str]) -> tuple[str, str] | None:
    """The first two neighbours that stand the other way round where numbers count as numbers."""
    return next((pair for pair in pairwise(names) if natural(pair[0]) > natural(pair[1])), None)


def ordered(who: str, names: Sequence[str], order: ClassOrder | None) -> tuple[str, ...]:
    """The class names of a data set as `order` has them; as they are where nothing is said.

    Raises `ConfigError` unless a list or a file gives each of them once.
    """
    if order is None:
        return tuple(names)
    if order == "natural":
        return tuple(sorted(names, key=natural))
    given = listed(who, order) if isinstance(order, Path) else tuple(order)
    missing, strange = _without(names, given), _without(given, names)
    if missing or strange or len(set(given)) < len(given):
        raise ConfigError(
            f"{who}: class_order: expected each of the {len(names)} classes once, got {len(given)} "
            f"names{_told('without', missing)}{_told('with the unknown', strange)}"
        )
    return given


def listed(who: str, path: Path) -> tuple[str, ...]:
    """The class names in a file: one a line, or as JSON a list, a table of numbers by name or of
    names by number. Raises `ConfigError`.
    """
    path = path.expanduser()
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{who}: class_order: cannot read {path}: {error}; give `natural`, a list such as "
            "[cat, dog], or a file with one name a line"
        ) from None
    if text.lstrip()[:1] in ("[", "{"):
        return _from_json(who, path, text)
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _from_json(who: str, path: Path, text: str) -> tuple[str, ...]:
    try:
        content = json.loads(text)
        if isinstance(content, dict):
            content = _by_number(content)
        return tuple(str(name) for name in content)
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{who}: class_order: {path} is no list of names, nor a table of names and numbers "
            f"({error})"
        ) from None


def _by_number(table: dict[str, Any]) -> Iterable[Any]:
    """The names of a table like {"cat": 0}, or like {"0": "cat"} or {"0": ["n02", "cat"]}."""
    if all(isinstance(number, int) for number in table.values()):
        return sorted(table, key=lambda name: int(table[name]))
    names = [table[number] for number in sorted(table, key=int)]
    return [name[0] if isinstance(name, list) else name for name in names]


def _without(names: Iterable[str], others: Iterable[str]) -> list[str]:
    return [name for name in names if name not in set(others)]


def _told(word: str, names: list[str], shown: int = 5) -> str:
    if not names:
        return ""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f", {word} {', '.join(map(repr, names[:shown]))}{more}"
