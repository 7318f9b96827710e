"""Which values of a parametrized test belong to the fast lane."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def slow_but(values: Iterable[Any], *fast: Any) -> list[Any]:
    """`values` for `parametrize`, all marked slow but those of `fast`.

    A rule that every plugin keeps is tried on all of them in the whole suite; the fast lane tries
    it on a few that stand for the others.
    """
    return [
        value if value in fast else pytest.param(value, marks=pytest.mark.slow) for value in values
    ]
