"""Options of the command line, made from the one declaration that all forms of a command read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from benchbd.arguments import Notation, Options
from benchbd.cli.settings import read_settings

Command = TypeVar("Command", bound=Callable[..., Any])


def add_options(options: type[Options]) -> Callable[[Command], Command]:
    """Return a decorator that gives a command all options of a declaration. An option without a
    default becomes its argument.

    The command is called with a value for each option, by its name in Python: None, or an empty
    tuple, for an option that was not given. `given_options` leaves those out.
    """

    def add(command: Command) -> Command:
        for name, field in reversed(options.model_fields.items()):
            command = _option(name, field)(command)
        return command

    return add


def given_options(values: dict[str, Any]) -> dict[str, Any]:
    """Return only the options of a command that a person has typed."""
    return {name: value for name, value in values.items() if value not in (None, (), {})}


def _option(name: str, field: FieldInfo) -> Callable[[Command], Command]:
    form = next((each.form for each in field.metadata if isinstance(each, Notation)), None)
    if field.is_required():
        return click.argument(name, metavar=form)
    spelling = f"--{(field.alias or name).replace('_', '-')}"
    if field.annotation is bool:
        return click.option(spelling, name, is_flag=True, default=None, help=_help(field))
    shape = _shape(field.annotation)
    return click.option(
        spelling,
        name,
        multiple=True,
        type=_click_type(field.annotation, field.metadata),
        metavar=form,
        callback={dict: _settings, tuple: None}.get(shape, _single_value),
        help=_help(field),
    )


def _shape(annotation: Any) -> Any:
    """Return `tuple` or `dict` for an option that takes several values, whether or not it may be
    unset.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Annotated, Union, UnionType):
        return _shape(arguments[0])
    return origin


def _single_value(context: click.Context, option: click.Parameter, values: tuple[Any, ...]) -> Any:
    """Return the value of an option that takes one. Several are refused, because otherwise the last
    would win without a word.
    """
    if len(values) > 1:
        told = ", ".join(map(str, values))
        raise click.BadParameter(f"expected one value, got {told}", context, option)
    return values[0] if values else None


def _settings(
    context: click.Context, option: click.Parameter, texts: tuple[str, ...]
) -> dict[str, str]:
    return read_settings(texts)


def _help(field: FieldInfo) -> str:
    meaning = field.description or ""
    default = field.get_default()
    shown = ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)
    said = default not in (None, (), {}) and not isinstance(default, bool)
    again = "; may be given several times" if _shape(field.annotation) in (tuple, dict) else ""
    told = f"{meaning[:1].upper()}{meaning[1:]}{again}."
    return told + (f"  [default: {shown}]" if said else "")


def _click_type(annotation: Any, limits: list[Any]) -> Any:
    """Return the click type of an option, or of each of its values."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _click_type(arguments[0], [*limits, *arguments[1:]])
    if origin is Literal:
        return click.Choice(arguments)
    if origin in (Union, UnionType, tuple):
        inner = [each for each in arguments if each not in (type(None), Ellipsis)]
        return _click_type(inner[0], limits)
    if annotation is Path:
        return click.Path(path_type=Path)
    return _in_range(annotation, limits) if annotation in (int, float) else str


def _in_range(number: type, limits: list[Any]) -> Any:
    bounds = {
        sign: getattr(limit, sign)
        for limit in limits
        for sign in ("ge", "gt", "le", "lt")
        if hasattr(limit, sign)
    }
    kind = click.IntRange if number is int else click.FloatRange
    return (
        kind(
            min=bounds.get("ge", bounds.get("gt")),
            max=bounds.get("le", bounds.get("lt")),
            min_open="gt" in bounds,
            max_open="lt" in bounds,
        )
        if bounds
        else number
    )
