"""Checks of what a class states about itself: api number, verbs, parameters and card."""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import textwrap
from typing import Any

from benchbd.errors import BenchbdError, ConfigError, ContractBroken
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.provenance import entry_of
from benchbd.plugin.registry import catalogue_fault
from benchbd.testing.check import check, require
from benchbd.testing.result import NotSeen, RuleBroken
from benchbd.testing.subject import Subject

VALID_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
FRESH_CARD_TEXTS = {
    "authors": "Who",
    "title": "Title of the paper",
    "summary": "what it does, in one line",
}
"""The texts on a card that `benchbd new --package` has just written."""
OLDEST = "the number must be readable without running the class"


@check("api")
def api_is_literal(subject: Subject) -> None:
    """The class states its api number in its own body, as a plain number."""
    stated = _assigned(subject.cls).get("api")
    require(stated is not None, "expected `api = 1` in the class body, found none; add that line")
    require(
        isinstance(stated, ast.Constant) and isinstance(stated.value, int),
        f"expected `api = 1`, found `api = {ast.unparse(stated) if stated else ''}`; {OLDEST}",
    )


@check("api")
def contract_is_kept(subject: Subject) -> None:
    """It writes all verbs of its family, with the parameters that they are given, for an api that
    is spoken here.
    """
    try:
        subject.cls.require_contract()
    except ContractBroken as error:
        raise RuleBroken(str(error)) from None


@check("api")
def name_is_safe(subject: Subject) -> None:
    """Its name can stand in file names and on the command line."""
    name = subject.cls.name
    require(
        VALID_NAME.fullmatch(name) is not None,
        f"{name!r} is no name; use letters, digits, dots, dashes and underscores",
    )


@check("api")
def catalogue_matches_class(subject: Subject) -> None:
    """A packaged plugin has a card in its package's registry.yaml, and the card says what the class
    says.
    """
    entry = entry_of(subject.cls)
    if entry is None:
        raise NotSeen("no package registers it, so it needs no card")
    package = entry.target.partition(":")[0].partition(".")[0]
    fault = catalogue_fault(package)
    require(not fault, f"the registry.yaml of {package} cannot be read: {fault}")
    require(
        bool(entry.card),
        f"no card under {entry.kind}: {entry.name}: in the registry.yaml of {package}; write one",
    )
    require(
        bool(entry.summary),
        f"the card of {entry.kind}.{entry.name} has no summary; say in one line what it does",
    )
    family = getattr(subject.cls, "family", "")
    require(
        not family or entry.family == family,
        f"its card says family: {entry.family}, its class is a {family}; correct the card",
    )
    if left := _placeholders(entry.card):
        raise NotSeen(
            f"the card still has what `benchbd new` wrote: {left!r}; say in the registry.yaml of "
            f"{package} what is true"
        )


def _placeholders(card: dict[str, Any]) -> str:
    """Return the texts of a fresh card that nobody has replaced, `Who: Title of the paper` or the
    summary; empty if none is left.
    """
    paper = card.get("paper")
    cited = [
        str(paper.get(word, "")) if isinstance(paper, dict) else "" for word in ("authors", "title")
    ]
    if FRESH_CARD_TEXTS["authors"] == cited[0] or FRESH_CARD_TEXTS["title"] == cited[1]:
        return ": ".join(cited)
    return FRESH_CARD_TEXTS["summary"] if card.get("summary") == FRESH_CARD_TEXTS["summary"] else ""


@check("api")
def defaults_construct(subject: Subject) -> None:
    """It can be built without parameters, and its defaults lie in their own ranges."""
    try:
        subject.cls()
    except ConfigError as error:
        raise RuleBroken(str(error)) from None
    except Exception as error:
        raise RuleBroken(
            f"{subject.cls.__name__}() raised {type(error).__name__}: {error}"
        ) from error


@check("api")
def parameters_have_meanings(subject: Subject) -> None:
    """Every parameter says in one line what it means."""
    silent = [
        name
        for name, spec in subject.cls.model_fields.items()
        if not (spec.description or "").strip()
    ]
    require(
        not silent,
        f"no meaning for {', '.join(silent)}; declare them with param(default, 'meaning')",
    )


@check("api")
def parameters_survive_json(subject: Subject) -> None:
    """Its parameters are plain values: they come back from JSON as they went in."""
    plugin = _built(subject)
    try:
        text = json.dumps(plugin.params, allow_nan=False)
        again = type(plugin)(**json.loads(text))
    except (TypeError, ValueError, BenchbdError) as error:
        raise RuleBroken(f"its parameters do not come back from JSON: {error}") from None
    require(
        again == plugin and json.dumps(again.params) == text,
        f"{plugin!r} came back from JSON as {again!r}",
    )


@check("api")
def parameters_survive_argparse(subject: Subject) -> None:
    """The classic script form gives the same plugin: `add_arguments`, parse, build from the
    namespace.
    """
    plugin, cls = _built(subject), subject.cls
    parser = cls.add_arguments(argparse.ArgumentParser())
    for action in parser._actions:
        action.required = False
    again = cls(parser.parse_args([]))
    require(again == plugin, f"without options {plugin!r} is built as {again!r}")
    words = [_word(name, value) for name, value in plugin.params.items()]
    try:
        typed = cls(parser.parse_args(words))
    except BenchbdError as error:
        raise RuleBroken(f"its own defaults, typed as options, are refused: {error}") from None
    require(typed == plugin, f"{plugin!r} typed as options is built as {typed!r}")


@check("api")
def repr_rebuilds(subject: Subject) -> None:
    """Its repr, evaluated, is an equal plugin."""
    import pathlib

    plugin = _built(subject)
    try:
        again = eval(repr(plugin), vars(pathlib) | {subject.cls.__name__: subject.cls})  # noqa: S307 - our own repr
    except Exception as error:
        raise RuleBroken(
            f"{plugin!r} cannot be evaluated: {type(error).__name__}: {error}"
        ) from None
    require(again == plugin, f"{plugin!r} evaluates to {again!r}")


def _built(subject: Subject) -> Plugin:
    try:
        return subject.cls()
    except Exception as error:
        raise NotSeen(f"it could not be built ({error}); see defaults_construct") from None


def _word(name: str, value: Any) -> str:
    """Return a parameter as a person types it."""
    if value is None:
        return f"--{name}=none"
    return f"--{name}={value if isinstance(value, str) else json.dumps(value)}"


def _assigned(cls: type[Any]) -> dict[str, ast.expr]:
    """Return what the class body assigns, as written."""
    try:
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {
            name: ast.Constant(value) for name, value in vars(cls).items() if isinstance(value, int)
        }
    found: dict[str, ast.expr] = {}
    for line in getattr(body, "body", []):
        targets = (
            line.targets
            if isinstance(line, ast.Assign)
            else [line.target]
            if isinstance(line, ast.AnnAssign)
            else []
        )
        found |= {
            t.id: line.value for t in targets if isinstance(t, ast.Name) and line.value is not None
        }
    return found
