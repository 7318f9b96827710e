"""A check that the methods of a plugin take the arguments that the core passes. It runs when a
plugin is loaded, so that a run does not fail halfway.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel

from benchbd.errors import ContractBroken, nearest

CORE_PREFIX = "benchbd."


def require_signatures(cls: type[Any]) -> None:
    """Raise `ContractBroken` for the first method whose parameters differ from those of the method
    that it overrides.
    """
    for name, found, expected in _overridden(cls):
        fault = _fault(inspect.signature(found), inspect.signature(expected))
        if fault:
            raise ContractBroken(
                f"{cls.kind} {cls.name!r}: found {found.__qualname__}{_names(found)}, expected "
                f"{name}{_names(expected)}: "
                f"{fault}; write `def {name}{_names(expected)}:`"
            )


def missing_verbs(cls: type[Any], names: list[str]) -> str:
    """Return what to write for the verbs that a class lacks, with the nearest name that it does
    have.
    """
    wanted = ", ".join(f"`def {name}{_names(getattr(cls, name))}:`" for name in names)
    own = [name for name, value in vars(cls).items() if inspect.isfunction(value)]
    close = "".join(nearest(name, own) for name in names)
    return f"write {wanted}{close.replace('did you mean', 'is that')}"


def _overridden(cls: type[Any]) -> Iterator[tuple[str, Callable[..., Any], Callable[..., Any]]]:
    """Yield the name, the method of the plugin, and the method of the core that it overrides."""
    core = [base for base in cls.__mro__ if base.__module__.startswith(CORE_PREFIX)]
    names = {
        name
        for base in core
        for name, value in vars(base).items()
        if inspect.isfunction(value) and name[0] != "_"
    }
    names -= set(dir(BaseModel))
    for name in sorted(names):
        found = inspect.getattr_static(cls, name)
        expected = next(vars(base)[name] for base in core if name in vars(base))
        if inspect.isfunction(found) and found is not expected:
            yield name, found, expected


def _fault(found: inspect.Signature, expected: inspect.Signature) -> str:
    """Return what is wrong with the parameters, in words. A name that begins with an underscore
    stands for an unused parameter.
    """
    given = list(found.parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in given):
        return ""
    wanted = [p.name for p in expected.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    names = [p.name for p in given if p.kind in (p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY)]
    if len(names) < len(wanted) and set(names) <= set(wanted):
        return f"{_listed([name for name in wanted if name not in names])} missing"
    needless = [
        p.name for p in given[len(wanted) :] if p.default is p.empty and p.kind is not p.VAR_KEYWORD
    ]
    if needless:
        return f"{_listed(needless)} never given"
    if len(names) < len(wanted):
        return f"{len(wanted)} parameters are given, it takes {len(names)}"
    return next(
        (
            f"{a!r} stands where {b!r} is given"
            for a, b in zip(names, wanted, strict=False)
            if a != b and a[0] != "_"
        ),
        "",
    )


def _listed(names: list[str]) -> str:
    return f"{' and '.join(map(repr, names))} {'is' if len(names) == 1 else 'are'}"


def _names(function: Callable[..., Any]) -> str:
    """Return a signature without its types: `(self, model, clean, rng)`."""
    stars: dict[object, str] = {
        inspect.Parameter.VAR_POSITIONAL: "*",
        inspect.Parameter.VAR_KEYWORD: "**",
    }
    parameters = inspect.signature(function).parameters.values()
    return f"({', '.join(stars.get(p.kind, '') + p.name for p in parameters)})"
