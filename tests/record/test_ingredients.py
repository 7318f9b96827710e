"""The identity of attacked models and cells: what changes a key, and what does not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from benchbd.record.ingredients import Coordinates, Ingredients
from support.made_cells import provided

MADE_OF: dict[str, Any] = {
    "dataset": provided("pictures", size=8),
    "model": provided("net", variant="small"),
    "attack": provided("patch"),
    "recipe": {"epochs": 2},
    "seed": 0,
}
OTHERS: dict[str, Any] = {
    "dataset": provided("pictures", size=16),
    "model": provided("net", variant="large"),
    "attack": provided("blend"),
    "recipe": {"epochs": 3},
    "seed": 1,
}


def test_every_ingredient_changes_the_key() -> None:
    keys = {Ingredients(**MADE_OF | {name: OTHERS[name]}).attack_key for name in MADE_OF}
    assert len(keys | {Ingredients(**MADE_OF).attack_key}) == 6


def test_who_provides_a_plugin_does_not() -> None:
    elsewhere = provided("patch", provider="somebody else")
    again = Ingredients(**MADE_OF | {"attack": elsewhere})
    assert again.attack_key == Ingredients(**MADE_OF).attack_key


def test_the_folder_tells_a_person_what_is_inside() -> None:
    found = Ingredients(**MADE_OF)
    assert found.folder_name == f"patch-pictures-net_small-seed0-{found.attack_key[:8]}"


def test_a_cell_is_an_attacked_model_that_a_defense_meets() -> None:
    found = Ingredients(**MADE_OF).coordinates(provided("mend"), 0.05)
    assert isinstance(found, Coordinates)
    assert found.attack_key == Ingredients(**MADE_OF).attack_key
    others = [
        found.key("other@1"),
        Ingredients(**MADE_OF).coordinates(provided("mend"), 0.1).key("trial@1"),
        Ingredients(**MADE_OF).coordinates(provided("mend", lr=1), 0.05).key("trial@1"),
    ]
    assert len({found.key("trial@1"), *others}) == 4


def test_what_nobody_knows_is_refused() -> None:
    with pytest.raises(ValidationError, match="colour"):
        Ingredients(**MADE_OF, colour="red")
