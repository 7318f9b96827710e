"""The functions that all plugins call, kept as they are: those of PyTorch, NumPy and this package.

A plugin that puts another one in the place of a function, and forgets it there, changes whatever is
computed after it.
"""

from __future__ import annotations

import builtins
import sys
import types
from collections.abc import Iterator
from functools import cache, lru_cache, partial
from operator import is_
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

WHOLE = frozenset(
    {
        "builtins",
        "math",
        "numpy",
        "numpy.random",
        "random",
        "torch",
        "torch._tensor",
        "torch.autograd",
        "torch.backends.cudnn",
        "torch.functional",
        "torch.linalg",
        "torch.nn",
        "torch.nn.functional",
        "torch.nn.init",
        "torch.nn.parameter",
        "torch.random",
    }
)
FAMILIES = ("benchbd", "torch.nn.modules.", "torch.optim.", "torch.utils.data.")
"""Modules whose functions and classes are kept: by name, and by how the name begins."""

_KINDS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    type(cache(lambda: None)),
    partial,
    type,
    staticmethod,
    classmethod,
    property,
)
"""What is put back; other values of modules, such as caches, are theirs to change."""

_STORAGES = frozenset(vars(torch)[name] for name in ("FloatStorage", "DoubleStorage"))
"""`torch.Storage` is one of them, and follows the default dtype."""

_TORCH = Path(torch.__file__).parent
_MISSING = object()


class Functions:
    """The functions as they are when this is made."""

    def __init__(self) -> None:
        self._held = [(place, dict(vars(place))) for place in _places(len(sys.modules))]

    def put_back(self) -> list[str]:
        """Put back those that were replaced, removed or covered; their names."""
        return [
            f"{_called(place)}.{name}"
            for place, held in self._held
            if not _same(held, vars(place))
            for name in _put_back(place, held)
        ]


@lru_cache(maxsize=1)
def _places(modules: int) -> tuple[Any, ...]:
    """Modules and the classes that they define or show; looked for again when others have been
    imported. modules: how many there are.
    """
    found: dict[int, Any] = {}
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and _is_kept(name):
            found[id(module)] = module
            found |= {
                id(value): value
                for value in vars(module).values()
                if isinstance(value, type) and _is_kept(value.__module__)
            }
    return tuple(found.values())


def _is_kept(name: object) -> bool:
    return isinstance(name, str) and (name in WHOLE or name.startswith(FAMILIES))


def _same(held: dict[str, Any], now: Any) -> bool:
    """Return whether all values are the very same ones; tensors could not be asked for more."""
    return len(held) == len(now) and all(map(is_, held.values(), now.values()))


def _put_back(place: Any, held: dict[str, Any]) -> Iterator[str]:
    now = dict(vars(place))
    for name, value in held.items():
        changed = now.get(name, _MISSING) is not value
        if (
            changed
            and isinstance(value, _KINDS)
            and value not in _STORAGES
            and not _is_of_torch(now.get(name), value)
        ):
            setattr(place, name, value)
            yield name
    for name in now.keys() - held.keys():
        if callable(now[name]) and _covers(place, name):
            delattr(place, name)
            yield name


def _covers(place: Any, name: str) -> bool:
    """Return whether a new name stands before an older one: that of a base class, or of Python
    itself.
    """
    if isinstance(place, type):
        return any(name in vars(base) for base in place.__mro__[1:])
    return hasattr(builtins, name)


def _is_of_torch(now: Any, before: Any) -> bool:
    """PyTorch wraps some functions itself: the step of a class of optimizers when the first one of
    them is made, others when its compiler is imported.
    """
    inner = (getattr(now, name, None) for name in ("__wrapped__", "_torchdynamo_orig_callable"))
    code = getattr(now, "__code__", None)
    return any(each is before for each in inner) and (
        code is not None and Path(code.co_filename).is_relative_to(_TORCH)
    )


def _called(place: Any) -> str:
    return f"{place.__module__}.{place.__qualname__}" if isinstance(place, type) else place.__name__
