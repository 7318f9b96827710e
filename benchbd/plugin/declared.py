"""Values that are declared once, each with its name, type, default, range and meaning.

The constructor, the command line, files of options and pages of documentation all read that one
declaration. A plugin declares its hyper-parameters in this way, and a command its options.
"""

from __future__ import annotations

import json
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from benchbd.errors import ConfigError, nearest


def param(default: Any, meaning: str, **limits: Any) -> Any:
    """Declare a hyper-parameter in the body of a plugin's class. The annotation of the field gives
    its type.

    default: its value unless another is given. meaning: what it means, with its unit, in one line.
    limits: the range of a number, by `ge`, `gt`, `le` and `lt`. A value that does not fit raises
    `ConfigError` when the plugin is made.

    >>> class Shrink(Repair):
    ...     api = 1
    ...     factor: float = param(0.5, "what each weight is multiplied by", ge=0, le=1)
    ...
    ...     def repair(self, model, clean, rng):
    ...         return model.eval()
    >>> Shrink(factor=2)
    Traceback (most recent call last):
        ...
    benchbd.errors.ConfigError: ...: expected factor (...) to be a float >= 0, <= 1, got 2
    """
    return Field(default, description=meaning, **limits)


OUT_OF_RANGE = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")
"""The names that pydantic gives to errors of values outside of the limits of `param`."""


class Configurable(BaseModel):
    """A frozen set of declared values that are checked when it is built. Raises `ConfigError` for a
    value that does not fit.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    @classmethod
    def who(cls) -> str:
        """Return the name of the owner of the values, for messages of errors."""
        return cls.__name__

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(_explain(type(self), error, values)) from None

    @model_validator(mode="before")
    @classmethod
    def _refuse_yes_and_no(cls, values: Any) -> Any:
        """Refuse a yes or no where a number or a text is declared, because YAML reads `no` and
        `off` as false.
        """
        for given, value in values.items() if isinstance(values, dict) else ():
            name = cls.declared_name(given)
            field = cls.model_fields.get(name)
            if isinstance(value, bool) and field is not None and not allows(field, bool):
                raise ConfigError(
                    f"{cls.who()}: expected {_wanted(cls, name)}, got {value!r}; quote it if it is "
                    "a text"
                )
        return values

    @classmethod
    def declared_name(cls, given: str) -> str:
        """Return the name of the value that is spelled `given`, which may be its alias."""
        return next(
            (name for name, field in cls.model_fields.items() if field.alias == given), given
        )

    @classmethod
    def unknown(cls, name: str) -> str:
        """Return the message for somebody who gives a value that is not declared."""
        return f"{cls.who()} has no value {name!r}{nearest(name, spellings(cls))}"


def spellings(cls: type[Configurable]) -> list[str]:
    """Return the names of all values as a person writes them."""
    return [field.alias or name for name, field in cls.model_fields.items()]


def type_name(annotation: Any) -> str:
    """Return a type the way a person writes it: `float`, `int or none`, `threshold|number`."""
    if hasattr(annotation, "__metadata__"):  # limits and the like stand beside the type
        return type_name(annotation.__origin__)
    arguments = get_args(annotation)
    if not arguments:
        return (
            "none" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))
        )
    origin = get_origin(annotation)
    if origin in (tuple, list):
        return "list of " + type_name(next(a for a in arguments if a is not Ellipsis))
    if origin is dict:
        return "table"
    if all(isinstance(a, str) for a in arguments):
        return "|".join(arguments)
    return " or ".join(type_name(a) for a in arguments)


def limits(field: FieldInfo) -> str:
    """Return the range of a field in words, such as `>= 0, <= 1`; empty when it has none."""
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return ", ".join(
        f"{sign} {getattr(bound, attribute):g}"
        for bound in field.metadata
        for attribute, sign in signs.items()
        if hasattr(bound, attribute)
    )


def allows(field: FieldInfo, wanted: type) -> bool:
    """Return whether a field takes values of the type `wanted`."""
    annotation = field.annotation
    return annotation is wanted or annotation is Any or wanted in get_args(annotation)


def _wanted(cls: type[Configurable], name: str) -> str:
    field = cls.model_fields[name]
    span = limits(field)
    article = "an" if type_name(field.annotation)[:1] in "aeiou" else "a"
    return (
        f"{name} ({field.description}) to be {article} "
        f"{type_name(field.annotation)}{' ' + span if span else ''}"
    )


def _explain(cls: type[Configurable], error: ValidationError, values: dict[str, Any]) -> str:
    first = error.errors()[0]
    if not first["loc"]:
        return f"{cls.who()}: {first['msg'].removeprefix('Value error, ')}"
    name = cls.declared_name(str(first["loc"][0]))
    if first["type"] == "extra_forbidden":
        return cls.unknown(name)
    if first["type"] == "value_error":
        return f"{cls.who()}: {name}: {first['msg'].removeprefix('Value error, ')}"
    if name not in values and first["type"] in OUT_OF_RANGE:
        span = limits(cls.model_fields[name])
        return (
            f"{cls.who()}: the default of `{name}`, {first['input']!r}, is outside of its own "
            f"range {span}; change one of them"
        )
    given = (
        first["input"]
        if len(first["loc"]) == 1
        else f"{first['input']!r} at place {first['loc'][1:]}"
    )
    return f"{cls.who()}: expected {_wanted(cls, name)}, got {json.dumps(given, default=str)}"
