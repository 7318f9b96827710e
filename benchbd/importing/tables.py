"""The tables of parameters in what a training script stored, wherever they stand in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from benchbd.errors import ConfigError, RecordError, nearest

PARAMETER_KEYS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "netC",
    "network",
    "weights",
    "parameters",
)
"""The keys under which training scripts store the parameters in a larger table. If several fit, the
first one here is taken.
"""

DEEPEST_TABLE = 4
"""How deep tables within tables are searched."""

Tables = dict[str, dict[str, Tensor]]
"""The tensors of each table by name, by the place of the table such as `checkpoint.state_dict`;
what is no tensor is left out."""


def tables_in(content: Mapping[Any, Any], who: str, at: str | None = None) -> Tables:
    """Return all tables with tensors in `content`, usual places first; the file itself has the
    place "".

    at: the one to take. Raises `RecordError` where no tensor is found, `ConfigError` for a place
    that is none.
    """
    found = {place: table for place, table in _walk(content, "") if table}
    if not found:
        raise RecordError(
            f"{who}: expected a table of parameters by name, found a {type(content).__name__} "
            f"without tensors{_keys(content)}"
        )
    if at is None:
        return dict(sorted(found.items(), key=lambda item: _rank(*item)))
    if at not in found:
        raise ConfigError(
            f"--at: no table of parameters at {at!r} in {who}{nearest(at, found)}; there are "
            f"{', '.join(place or '(the file itself)' for place in found)}"
        )
    return {at: found[at]}


def _walk(content: Mapping[Any, Any], place: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    named = {name: value for name, value in content.items() if isinstance(name, str)}
    yield place, {name: value for name, value in named.items() if isinstance(value, Tensor)}
    if depth < DEEPEST_TABLE:
        for name, value in named.items():
            if isinstance(value, Mapping):
                yield from _walk(value, f"{place}.{name}" if place else name, depth + 1)


def _rank(place: str, table: Mapping[str, Tensor]) -> tuple[int, int]:
    last = place.rpartition(".")[2]
    return (
        PARAMETER_KEYS.index(last) if last in PARAMETER_KEYS else len(PARAMETER_KEYS),
        -len(table),
    )


def _keys(content: Mapping[Any, Any]) -> str:
    names = ", ".join(str(key) for key in list(content)[:8])
    return f", with {names}" if names else ""
