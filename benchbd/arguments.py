"""What a program hands to `benchbd.run` and `benchbd.matrix`: names as the command line takes them,
one or several.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from benchbd.errors import ConfigError

Value = TypeVar("Value")


def require_names(**given: object) -> None:
    """Raise `ConfigError` for what is no name, such as a class from a notebook or a list."""
    for kind, name in given.items():
        if not isinstance(name, str | None):
            raise ConfigError(
                f"{kind}: expected one name, or the path of a file such as './mine.py' where a "
                f"class is saved, got {name!r:.80}; "
                "`benchbd.matrix` runs several"
            )


def defense_names(given: object) -> tuple[str, ...]:
    """Names of defenses, one or several. Raises `ConfigError` for what is none, such as a class
    from a notebook.
    """
    names = (given,) if isinstance(given, str) else given
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        return tuple(names)
    raise ConfigError(
        "expected the name of a defense, the path of its file, or a list of them, got "
        f"{str(given)[:80]}; save a class in a file "
        "and give './mine.py', or call it in this process: Mine().defense('NAME') with the name "
        "of a stored attack result"
    )


def several(name: str, given: object, kind: type[Value]) -> tuple[Value, ...]:
    """One value or several, as a tuple. Raises `ConfigError` for what is neither."""
    values = (
        tuple(given) if isinstance(given, Iterable) and not isinstance(given, kind) else (given,)
    )
    if all(
        isinstance(value, kind) and not isinstance(value, bool) for value in values
    ):  # True is an int, and no seed
        return values
    raise ConfigError(f"{name}: expected one {kind.__name__} or a list of them, got {given!r:.80}")
