"""Classes by their names in the parameters of an attack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchbd.attack.attack import Attack
from benchbd.data.class_number import class_number
from benchbd.errors import ConfigError
from benchbd.plugin.plugin import Plugin

ClassNames = Callable[[], Sequence[str]]
"""Gives the names of the classes of a data set, in the order of their numbers."""


def with_class_numbers(
    cls: type[Plugin], params: dict[str, Any], class_names: ClassNames
) -> dict[str, Any]:
    """Return the parameters of an attack with the number of each class that a person has named. The
    data set is asked for its names only if there is one. Raises `ConfigError` for a name that no
    class has.
    """
    if not issubclass(cls, Attack):
        return params
    named = {name: params[name] for name in cls.class_params() & params.keys()}
    named = {name: value for name, value in named.items() if any(map(_is_name, _each(value)))}
    if not named:
        return params
    names = class_names()
    return params | {name: _numbers(name, value, names) for name, value in named.items()}


def _numbers(name: str, value: Any, names: Sequence[str]) -> Any:
    """Return the number of the class, or of each of the classes."""
    try:
        found = [class_number(str(each).strip(), names) for each in _each(value)]
    except ConfigError as error:
        raise ConfigError(f"attack.{name}: {error}") from None
    return found if isinstance(value, list | tuple) else found[0]


def _each(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and not value.strip().lstrip("-").isdecimal()
