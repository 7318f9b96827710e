"""A snapshot of the functions that all plugins call, those of PyTorch, NumPy and this package, from
which changed ones are restored.

A plugin that replaces a function and leaves the replacement there changes whatever is computed
after it.
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

WHOLE_MODULES = frozenset(
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
MODULE_PREFIXES = ("benchbd", "torch.nn.modules.", "torch.optim.", "torch.utils.data.")
"""The first parts of the names of modules whose functions are kept. `WHOLE_MODULES` lists full
names.
"""

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
"""The kinds of values that are restored. Modules may change their other values, such as caches."""

_STORAGES = frozenset(vars(torch)[name] for name in ("FloatStorage", "DoubleStorage"))
"""`torch.Storage` is one of these and follows the default dtype, so a change of it is no fault."""

_TORCH = Path(torch.__file__).parent
_MISSING = object()


class FunctionsSnapshot:
    """The functions as they were when this object was made."""

    def __init__(self) -> None:
        self._held = [(place, dict(vars(place))) for place in _places(len(sys.modules))]

    def put_back(self) -> list[str]:
        """Restore the functions that were replaced, removed or covered, and return their names."""
        return [
            f"{_called(place)}.{name}"
            for place, held in self._held
            if not _same(held, vars(place))
            for name in _put_back(place, held)
        ]


@lru_cache(maxsize=1)
def _places(modules: int) -> tuple[Any, ...]:
    """Return the modules whose functions are kept, and the classes that they define or show.
    modules: the number of imported modules; when it changes, they are collected anew.
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
    return isinstance(name, str) and (name in WHOLE_MODULES or name.startswith(MODULE_PREFIXES))


def _same(held: dict[str, Any], now: Any) -> bool:
    """Return whether all values are the very same objects. Equality is not asked for, because
    tensors do not answer it with one bool.
    """
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
    """Return whether a new name hides an older one: that of a base class, or of Python itself."""
    if isinstance(place, type):
        return any(name in vars(base) for base in place.__mro__[1:])
    return hasattr(builtins, name)


def _is_of_torch(now: Any, before: Any) -> bool:
    """Return whether PyTorch itself wrapped the function. It wraps the `step` of a class of
    optimizers when the first one is made, and other functions when its compiler is imported.
    """
    inner = (getattr(now, name, None) for name in ("__wrapped__", "_torchdynamo_orig_callable"))
    code = getattr(now, "__code__", None)
    return any(each is before for each in inner) and (
        code is not None and Path(code.co_filename).is_relative_to(_TORCH)
    )


def _called(place: Any) -> str:
    return f"{place.__module__}.{place.__qualname__}" if isinstance(place, type) else place.__name__
