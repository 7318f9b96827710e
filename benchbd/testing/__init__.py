"""Checks that tell the author of a plugin whether it keeps the contract of its family.

    from benchbd.testing import check_plugin, parametrize_with_checks

Names are imported when they are asked for: pytest loads this package in every session of an
environment that has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchbd.testing.parametrize import parametrize_with_checks
    from benchbd.testing.result import Result, failures
    from benchbd.testing.runner import check_plugin

__all__ = ["Result", "check_plugin", "failures", "parametrize_with_checks"]

_HOMES = {
    "Result": "result",
    "check_plugin": "runner",
    "failures": "result",
    "parametrize_with_checks": "parametrize",
}


if not TYPE_CHECKING:  # a type checker is to report a name that is not there

    def __getattr__(name: str) -> Any:
        import importlib

        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
