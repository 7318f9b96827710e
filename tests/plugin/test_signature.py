"""Methods that do not take what they will be handed are refused when the plugin is loaded."""

from __future__ import annotations

import re
from typing import Any

import pytest

from benchbd.api import InputDetector, PoisoningAttack, Repair
from benchbd.errors import ContractBroken
from benchbd.plugin.plugin import Plugin


def plugin_of(family: type[Plugin], body: dict[str, Any]) -> type[Plugin]:
    return type("Mine", (family,), {"api": 1, "name": "mine", "__module__": __name__} | body)


def repair_of(verb: Any) -> type[Plugin]:
    return plugin_of(Repair, {"repair": verb})


@pytest.mark.parametrize(
    ("verb", "fault"),
    [
        (lambda self, model, clean: model, "'rng' is missing"),
        (lambda self, model: model, "'clean' and 'rng' are missing"),
        (lambda self, model, clean, rng, epochs: model, "'epochs' is never given"),
        (lambda self, clean, model, rng: model, "'clean' stands where 'model' is given"),
        (lambda self, network, data: network, "4 parameters are given, it takes 3"),
        (lambda self, model, clean, rng, *, lr: model, "'lr' is never given"),
    ],
)
def test_wrong_parameters(verb: Any, fault: str) -> None:
    expected = "expected repair(self, model, clean, rng)"
    remedy = "; write `def repair(self, model, clean, rng):`"
    with pytest.raises(
        ContractBroken,
        match=f"^defense 'mine': found .*{re.escape(expected)}: {re.escape(fault + remedy)}$",
    ):
        repair_of(verb).require_contract()


@pytest.mark.parametrize(
    "verb",
    [
        lambda self, model, clean, rng: model,
        lambda self, model, clean, _rng: model,
        lambda self, model, clean, rng, epochs=3: model,
        lambda self, *given: given[0],
        lambda self, model, clean, rng, **more: model,
    ],
)
def test_right_parameters(verb: Any) -> None:
    repair_of(verb).require_contract()


def test_an_optional_method_is_looked_at_too() -> None:
    body = {
        "stamp": lambda self, images, labels, rng: images,
        "prepare": lambda self, train, rng: {},
    }
    with pytest.raises(
        ContractBroken, match=re.escape("expected prepare(self, train, build_model, recipe, rng)")
    ):
        plugin_of(PoisoningAttack, body).require_contract()


def test_a_missing_verb_with_the_name_that_was_meant() -> None:
    body = {"fitt": lambda self: None}
    with pytest.raises(
        ContractBroken,
        match=re.escape(
            "does not write fit; its family asks for it: write `def fit(self, model, clean, "
            "rng):`; is that 'fitt'?"
        ),
    ):
        plugin_of(InputDetector, body).require_contract()
