"""Classes that a person names in the parameters of an attack."""

from __future__ import annotations

from typing import Any

import pytest

from benchbd.errors import ConfigError
from benchbd.plugin.registry import load
from benchbd.running.named_classes import with_class_numbers

NAMES = ("10", "ant", "bee")


@pytest.mark.parametrize(
    ("attack", "given", "meant"),
    [
        ("badnet", {"target": "bee"}, {"target": 2}),
        ("badnet", {"target": " bee "}, {"target": 2}),
        ("badnet", {"more_targets": ("ant", 0)}, {"more_targets": [1, 0]}),
        ("tact", {"source": "ant", "cover_classes": ["bee"]}, {"source": 1, "cover_classes": [2]}),
        ("tact", {"source": None, "target": "ant"}, {"source": None, "target": 1}),
    ],
)
def test_names_become_numbers(attack: str, given: dict[str, Any], meant: dict[str, Any]) -> None:
    assert with_class_numbers(load("attack", attack), given, lambda: NAMES) == meant


@pytest.mark.parametrize(
    ("kind", "name", "given"),
    [
        ("attack", "badnet", {"target": 1, "more_targets": (2,), "label_mode": "all_to_all"}),
        ("attack", "badnet", {"target": "10", "corner": "bottom_right"}),
        ("attack", "badnet", {"target": "-1"}),
        ("defense", "anp", {"target": "ant"}),
    ],
)
def test_what_names_no_class_needs_no_images(kind: str, name: str, given: dict[str, Any]) -> None:
    def unasked() -> tuple[str, ...]:
        raise AssertionError("nobody named a class")

    assert with_class_numbers(load(kind, name), given, unasked) == given


@pytest.mark.parametrize("given", [{"target": "cat"}, {"more_targets": ["ant", "cat"]}])
def test_a_name_that_no_class_has(given: dict[str, Any]) -> None:
    (parameter,) = given
    words = rf"attack\.{parameter}: expected a class from 0 to 2 or one of 10, ant, bee, got 'cat'"
    with pytest.raises(ConfigError, match=words):
        with_class_numbers(load("attack", "badnet"), given, lambda: NAMES)
