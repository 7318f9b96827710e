"""The options of a command, declared once for all its forms: the command line, a file of options,
and the function in Python.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

from annotated_types import Ge, Le
from pydantic import BeforeValidator, ConfigDict
from pydantic.fields import FieldInfo

from benchbd.errors import ConfigError, nearest
from benchbd.options import read_yaml
from benchbd.plugin.declared import Configurable, limits, spellings

MAX_SEED = 2**32 - 1
"""The largest seed that every random generator accepts."""

Function = TypeVar("Function", bound=Callable[..., Any])


class Options(Configurable):
    """Base of the options of one command. An alias is the name of an option on the command line and
    in files, where it differs from its name in Python.
    """

    model_config = ConfigDict(populate_by_name=True)

    command: ClassVar[str]

    @classmethod
    def who(cls) -> str:
        return cls.command

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Return the options that a YAML file gives, by their names on the command line. Raises
        `ConfigError`.
        """
        content = read_yaml(path)
        try:
            return cls(**content)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None

    def given(self) -> dict[str, Any]:
        """Return the options that were given, by name, without those that have their default."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    @classmethod
    def unknown(cls, name: str) -> str:
        return f"{cls.command} has no option {name!r}{nearest(name, spellings(cls))}"


def document_options(options: type[Options]) -> Callable[[Function], Function]:
    """Return a decorator that adds the meaning of the options to the docstring of a function, below
    its first paragraph.
    """
    rows = [_row(name, field) for name, field in options.model_fields.items()]

    def add(function: Function) -> Function:
        summary, _, rest = (inspect.getdoc(function) or "").partition("\n\n")
        function.__doc__ = "\n\n".join([summary, "\n".join(rows), rest])
        return function

    return add


def _row(name: str, field: FieldInfo) -> str:
    span = limits(field)
    return f"{name}: {field.description}{f' ({span})' if span else ''}."


@dataclass(frozen=True)
class Notation:
    """How the value of an option is written on the command line, where its type does not
    show it.
    """

    form: str


def _one_name(value: Any) -> Any:
    if isinstance(value, str | None):
        return value
    raise ValueError(
        "expected one name, or the path of a file such as './mine.py' where a class is saved, got "
        f"{value!r:.80}; `benchbd.matrix` runs several"
    )


def _names(value: Any) -> Any:
    names = _as_tuple(value)
    if all(isinstance(name, str) for name in names):
        return names
    raise ValueError(
        "expected the name of a plugin, the path of its file, or a list of them, got "
        f"{value!r:.80}; save a class in a file and give './mine.py'"
    )


def _words(value: Any) -> Any:
    words = _as_tuple(value)
    if all(isinstance(word, str) for word in words):
        return tuple(part for word in words for part in word.split(",") if part)
    raise ValueError(f"expected words, separated by commas or in a list, got {value!r:.80}")


def _seed(value: Any) -> int:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if whole and 0 <= (number := int(value)) <= MAX_SEED:
        return number
    raise ValueError(f"expected a seed from 0 to {MAX_SEED}, got {value!r:.80}")


def _as_tuple(value: Any) -> tuple[Any, ...]:
    """Return a tuple of one value or of several."""
    several = isinstance(value, Iterable) and not isinstance(value, str | dict)
    return tuple(value) if several else (value,)


def _by_parameter(value: Any) -> Any:
    """Return the values by KIND.PARAM, also if they are given in a table by kind."""
    if not isinstance(value, dict):
        return {} if value is None else value
    settings: dict[Any, Any] = {}
    for name, content in value.items():
        if isinstance(content, dict) and "." not in str(name):
            settings |= {f"{name}.{parameter}": one for parameter, one in content.items()}
        else:
            settings[name] = content
    return settings


PluginName = Annotated[str, BeforeValidator(_one_name)]
PluginNames = Annotated[tuple[str, ...], BeforeValidator(_names)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
SeedNumber = Annotated[int, BeforeValidator(_seed), Ge(0), Le(MAX_SEED)]
SeedNumbers = Annotated[tuple[SeedNumber, ...], BeforeValidator(_as_tuple)]
Settings = Annotated[dict[str, Any], BeforeValidator(_by_parameter)]
