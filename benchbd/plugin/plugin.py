"""What every plugin is: a frozen set of hyper-parameters with a name, an api number and a version.

The fields of the class are its hyper-parameters, declared once with type, default, range and
meaning. Constructor, YAML, `--set`, `add_arguments`, `benchbd info` and the key of a result read
that declaration.
"""

from __future__ import annotations

import argparse
import inspect
import json
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from benchbd.errors import ApiTooNew, ConfigError, ContractBroken, nearest
from benchbd.options import parse_yaml
from benchbd.plugin.entry import FILE_MODULE_PREFIX
from benchbd.plugin.signature import missing_verbs, require_signatures

API = 1
"""The contract that this version of benchbd speaks; plugins of this number and the one before are
accepted.
"""


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
"""What pydantic calls a value that the limits of `param` do not allow."""


class Plugin(BaseModel):
    """A frozen set of hyper-parameters. Making one checks and stores them; it opens no file and
    draws no number, and raises `ConfigError` for a value that does not fit. A parsed command line
    may be given instead of keywords.

    A subclass declares its hyper-parameters with `param` and states `api = 1` in its own body. It
    may state:

    - `name`: what it is called; unless stated, the name of its module.
    - `results_version`: a whole number that its author raises whenever the same parameters give
      other results.
    - `aside`: names of parameters that say where something lies, not what it is. They are no part
      of the identity of a result. Any other parameter of type `Path` names a file whose content is
      part of it, wherever the file lies.
    - `quick`: parameters by which the method is done in a moment, for checks that ask how it
      behaves and not how well it does.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    kind: ClassVar[str] = ""
    name: ClassVar[str] = ""
    api: ClassVar[int]
    results_version: ClassVar[int] = 1
    aside: ClassVar[tuple[str, ...]] = ()
    quick: ClassVar[dict[str, Any]] = {}

    def __init__(self, args: argparse.Namespace | None = None, /, **parameters: Any) -> None:
        if args is not None:
            parameters = {
                k: v for k, v in vars(args).items() if k in type(self).model_fields
            } | parameters
        try:
            super().__init__(**parameters)
        except ValidationError as error:
            raise ConfigError(_explain(type(self), error, parameters)) from None

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        if "name" not in cls.__dict__:
            cls.name = cls.__module__.rpartition(".")[2]

    @model_validator(mode="before")
    @classmethod
    def _refuse_yes_and_no(cls, values: Any) -> Any:
        """YAML reads `no` and `off` as false; a number or a text must not become one in silence."""
        for name, value in values.items() if isinstance(values, dict) else ():
            field = cls.model_fields.get(name)
            if isinstance(value, bool) and field is not None and not _allows(field, bool):
                raise ConfigError(
                    f"{cls.name}: expected {_wanted(cls, name)}, got {value!r}; quote it if it is "
                    "a text"
                )
        return values

    @property
    def params(self) -> dict[str, Any]:
        """All hyper-parameters by name, as plain JSON values."""
        return self.model_dump(mode="json")

    @classmethod
    def from_text(cls, **texts: str) -> Self:
        """Build a plugin from texts as a person types them, each read by the type of its parameter.
        Raises `ConfigError` for one that does not fit.
        """
        return cls(**{name: cls.parse(name, text) for name, text in texts.items()})

    @classmethod
    def parse(cls, name: str, text: str) -> Any:
        """Read the text of one parameter: what begins with a bracket as YAML, `none` as unset, the
        rest by the type of the parameter. Raises `ConfigError` for an unknown name.
        """
        field = cls.model_fields.get(name)
        if field is None:
            raise ConfigError(unknown_parameter(cls, name))
        if text.strip().lower() in ("none", "null") and _allows(field, type(None)):
            return None
        if text.lstrip().startswith(("[", "{")):
            return parse_yaml(text, f"{cls.name}: {name}={text}")
        return text

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
        """Add an option for each hyper-parameter to `parser`, for a script in the classic form:
        `Shrink(parser.parse_args())` makes the plugin.
        """
        group = parser.add_argument_group(cls.name)
        for name, field in cls.model_fields.items():
            group.add_argument(
                *dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}")),
                dest=name,
                type=partial(cls.parse, name),
                default=field.get_default(call_default_factory=True),
                help=(field.description or "").replace("%", "%%"),
            )
        return parser

    @classmethod
    def require_contract(cls) -> None:
        """Raise `ContractBroken` unless the class states an api number that is spoken here and
        writes all its verbs with the parameters that they are given.
        """
        stated = cls.__dict__.get("api")
        if not isinstance(stated, int):
            raise ContractBroken(
                f"{cls.kind} {cls.name!r}: expected `api = {API}` in the class body, found none; "
                "add that line"
            )
        if not API - 1 <= stated <= API:
            refusal, remedy = (
                (ApiTooNew, "upgrade benchbd")
                if stated > API
                else (ContractBroken, "upgrade the plugin")
            )
            raise refusal(
                f"{cls.kind} {cls.name!r} is written for api {stated}, this benchbd speaks "
                f"{API - 1} and {API}; {remedy}"
            )
        missing: frozenset[str] = getattr(cls, "__abstractmethods__", frozenset())
        if missing:
            raise ContractBroken(
                f"{cls.kind} {cls.name!r} does not write {', '.join(sorted(missing))}; its family "
                "asks for it: "
                f"{missing_verbs(cls, sorted(missing))}"
            )
        require_signatures(cls)


def unknown_parameter(cls: type[Plugin], name: str) -> str:
    return (
        f"{cls.name} has no parameter "
        f"{name!r}{nearest(name, cls.model_fields, f'`benchbd info {_called(cls)}` shows all')}"
    )


def _called(cls: type[Plugin]) -> str:
    """The name by which a person at the command line means a class: its own, or the file that it
    was read from.
    """
    if not cls.__module__.startswith(FILE_MODULE_PREFIX):
        return cls.name
    path = Path(inspect.getfile(cls))
    here = f"./{path.relative_to(Path.cwd())}" if path.is_relative_to(Path.cwd()) else str(path)
    return f"{here}:{cls.__qualname__}"


def type_name(annotation: Any) -> str:
    """A type the way a person writes it: `float`, `int or none`, `threshold|number`."""
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
    """The range of a field in words, such as `>= 0, <= 1`; empty when it has none."""
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return ", ".join(
        f"{sign} {getattr(bound, attribute):g}"
        for bound in field.metadata
        for attribute, sign in signs.items()
        if hasattr(bound, attribute)
    )


def _allows(field: FieldInfo, wanted: type) -> bool:
    annotation = field.annotation
    return annotation is wanted or annotation is Any or wanted in get_args(annotation)


def _wanted(cls: type[Plugin], name: str) -> str:
    field = cls.model_fields[name]
    span = limits(field)
    article = "an" if type_name(field.annotation)[:1] in "aeiou" else "a"
    return (
        f"{name} ({field.description}) to be {article} "
        f"{type_name(field.annotation)}{' ' + span if span else ''}"
    )


def _explain(cls: type[Plugin], error: ValidationError, parameters: dict[str, Any]) -> str:
    first = error.errors()[0]
    if not first["loc"]:
        return f"{cls.name}: {first['msg'].removeprefix('Value error, ')}"
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return unknown_parameter(cls, name)
    if first["type"] == "value_error":
        return f"{cls.name}: {name}: {first['msg'].removeprefix('Value error, ')}"
    if name not in parameters and first["type"] in OUT_OF_RANGE:
        span = limits(cls.model_fields[name])
        return (
            f"{cls.name}: the default of `{name}`, {first['input']!r}, is outside of its own "
            f"range {span}; change one of them"
        )
    given = (
        first["input"]
        if len(first["loc"]) == 1
        else f"{first['input']!r} at place {first['loc'][1:]}"
    )
    return f"{cls.name}: expected {_wanted(cls, name)}, got {json.dumps(given, default=str)}"
