"""The base of every plugin: a frozen set of hyper-parameters with a name, an api number and a
version.

The fields of the class are its hyper-parameters, declared once with type, default, range and
meaning. The constructor, YAML, `--set`, `add_arguments`, `benchbd info` and the key of a result all
read that declaration.
"""

from __future__ import annotations

import argparse
import inspect
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic_core import to_jsonable_python

from benchbd.errors import ApiTooNew, ConfigError, ContractBroken, nearest
from benchbd.options import parse_yaml
from benchbd.plugin.declared import Configurable, allows
from benchbd.plugin.entry import FILE_MODULE_PREFIX
from benchbd.plugin.signature import missing_verbs, require_signatures

API = 1
"""The number of the contract of this version of benchbd. It accepts plugins of this number and of
the one before.
"""


class Plugin(Configurable):
    """A frozen set of hyper-parameters. Making one checks and stores them; it opens no file and
    draws no number, and raises `ConfigError` for a value that does not fit. A parsed command line
    may be given instead of keywords.

    A subclass declares its hyper-parameters with `param` and states `api = 1` in its own body. It
    may state:

    - `name`: what it is called; unless stated, the name of its module.
    - `results_version`: a whole number that its author raises whenever the same parameters give
      other results.
    - `later`: names of parameters that were added when results had been stored already, and that
      change nothing at their default. They are recorded only where they differ from it, so that
      those results keep their keys.
    - `aside`: names of parameters that say where something lies, not what it is. They are no part
      of the identity of a result. Any other parameter of type `Path` names a file whose content is
      part of it, wherever the file lies.
    - `quick`: parameters by which the method is done in a moment, for checks that ask how it
      behaves and not how well it does.
    """

    kind: ClassVar[str] = ""
    name: ClassVar[str] = ""
    api: ClassVar[int]
    results_version: ClassVar[int] = 1
    later: ClassVar[tuple[str, ...]] = ()
    aside: ClassVar[tuple[str, ...]] = ()
    quick: ClassVar[dict[str, Any]] = {}

    def __init__(self, args: argparse.Namespace | None = None, /, **parameters: Any) -> None:
        if args is not None:
            parameters = {
                k: v for k, v in vars(args).items() if k in type(self).model_fields
            } | parameters
        super().__init__(**parameters)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        if "name" not in cls.__dict__:
            cls.name = cls.__module__.rpartition(".")[2]

    @classmethod
    def who(cls) -> str:
        return cls.name

    @property
    def params(self) -> dict[str, Any]:
        """The hyper-parameters by name, as plain JSON values, without those of `later` that have
        their default.
        """
        values = self.all_params
        unset = {name for name in self.later if values[name] == self.default_params()[name]}
        return {name: value for name, value in values.items() if name not in unset}

    @property
    def all_params(self) -> dict[str, Any]:
        """All hyper-parameters by name, as plain JSON values."""
        return self.model_dump(mode="json")

    @classmethod
    def default_params(cls) -> dict[str, Any]:
        """Return the default of each hyper-parameter by name, as plain JSON values."""
        fields = cls.model_fields.items()
        values: dict[str, Any] = to_jsonable_python({name: field.default for name, field in fields})
        return values

    @classmethod
    def from_text(cls, **texts: str) -> Self:
        """Return a plugin built from texts as a person types them; each is read by the type of its
        parameter. Raises `ConfigError` for one that does not fit.
        """
        return cls(**{name: cls.parse(name, text) for name, text in texts.items()})

    @classmethod
    def parse(cls, name: str, text: str) -> Any:
        """Return the value of one parameter from its text: a text that begins with a bracket is
        read as YAML, `none` as unset, and any other by the type of the parameter. Raises
        `ConfigError` for an unknown name.
        """
        field = cls.model_fields.get(name)
        if field is None:
            raise ConfigError(cls.unknown(name))
        if text.strip().lower() in ("none", "null") and allows(field, type(None)):
            return None
        if text.lstrip().startswith(("[", "{")):
            return parse_yaml(text, f"{cls.name}: {name}={text}")
        return text

    @classmethod
    def unknown(cls, name: str) -> str:
        remedy = f"`benchbd info {_called(cls)}` shows all"
        return f"{cls.name} has no parameter {name!r}{nearest(name, cls.model_fields, remedy)}"

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
        """Raise `ContractBroken` unless the class states an api number that this version accepts,
        and writes all its verbs with the expected parameters.
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


def _called(cls: type[Plugin]) -> str:
    """Return the name by which a person calls a class at the command line: its own, or that of its
    file.
    """
    if not cls.__module__.startswith(FILE_MODULE_PREFIX):
        return cls.name
    path = Path(inspect.getfile(cls))
    here = f"./{path.relative_to(Path.cwd())}" if path.is_relative_to(Path.cwd()) else str(path)
    return f"{here}:{cls.__qualname__}"
