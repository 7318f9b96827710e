"""A class as a person means it, by its number or its name."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from benchbd.errors import ConfigError, DataNote


@dataclass(frozen=True)
class MeansClass:
    """The mark of a type whose numbers are those of classes."""


ClassNumber = Annotated[int, MeansClass()]
"""The type of a parameter of an attack that is the number of a class, or holds some:
`tuple[ClassNumber, ...]`. On the command line and in protocols a person may give the name of the
class instead.

>>> class Corner(PoisoningAttack):
...     api = 1
...     source: ClassNumber = param(1, "the class on which the trigger works", ge=0)
...
...     def stamp(self, images, labels, rng):
...         return images
>>> sorted(Corner.class_params())
['source', 'target']
"""


def class_number(given: str, class_names: Sequence[str]) -> int:
    """Return the number of the class that a person means. A whole number is always the number
    itself, also where a class is called like it, and that is said. Raises `ConfigError` for no
    class.
    """
    number = int(given) if given.isdecimal() else None
    if number is None and given in class_names:
        return class_names.index(given)
    if number is None or number >= len(class_names):
        raise ConfigError(
            f"expected a class from 0 to {len(class_names) - 1} or one of "
            f"{', '.join(class_names[:10])}, got {given!r}"
        )
    if given in class_names and class_names[number] != given:
        warnings.warn(
            f"{given} is the class of that number, {class_names[number]!r}; the class that is "
            f"called {given!r} has the number {class_names.index(given)}",
            DataNote,
            stacklevel=2,
        )
    return number
