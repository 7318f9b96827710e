"""What a recipe says of learning rates and optimizers, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchbd.engine.recipe import Augmentation, Descent, FineTuning, Recipe, one_cycle
from benchbd.errors import ConfigError
from benchbd.plugin.declared import Configurable, limits, param
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.registry import entries, load


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("constant", [1, 1, 1, 1]),
        ("cosine", [1, 0.5, 0, 0]),
        ("one_cycle", [0.04, one_cycle(0.5), 1e-4, 1e-4]),
    ],
)
def test_shares_of_the_learning_rate(schedule: str, shares: list[float]) -> None:
    factor = Recipe(schedule=schedule).factor(10)
    assert [factor(step) for step in (0, 5, 10, 99)] == pytest.approx(shares)


@pytest.mark.parametrize(
    ("progress", "share"),
    [(0.0, 1 / 25), (0.15, 0.52), (0.3, 1.0), (0.65, 0.50005), (1.0, 1e-4)],
)
def test_one_cycle_by_hand(progress: float, share: float) -> None:
    assert one_cycle(progress) == pytest.approx(share)


def test_a_schedule_over_no_step_is_one() -> None:
    assert Recipe(schedule="cosine").factor(0)(0) == 1


def test_the_optimizer_is_the_one_that_was_asked_for() -> None:
    parameters = list(nn.Linear(2, 2).parameters())
    sgd = Recipe(lr=0.3, momentum=0.5, weight_decay=0.01).build_optimizer(parameters)
    assert isinstance(sgd, torch.optim.SGD)
    (group,) = sgd.param_groups
    asked = (group["lr"], group["momentum"], group["weight_decay"], group["nesterov"])
    assert asked == (0.3, 0.5, 0.01, False)
    adam = Recipe(optimizer="adam", lr=0.001).build_optimizer(parameters)
    assert isinstance(adam, torch.optim.Adam) and adam.param_groups[0]["lr"] == 0.001


def test_a_recipe_that_a_plugin_describes() -> None:
    class Tuned(Plugin):
        api = 1
        kind = "defense"
        lr: float = param(0.02, "learning rate", gt=0)
        epochs: int = param(3, "passes", ge=0)
        strength: float = param(1.0, "of something else")

    found = Recipe.of(Tuned(epochs=7))
    assert found == Recipe(lr=0.02, epochs=7)


@pytest.mark.parametrize(("name", "value"), [("lr", 0.0), ("momentum", 1.0), ("batch_size", 0)])
def test_what_cannot_train_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"recipe: expected {name}"):
        Recipe(**{name: value})


def test_who_chooses_a_schedule_chooses_among_those_of_a_recipe() -> None:
    """So that one more of them reaches every method at once."""
    wanted = Recipe.model_fields["schedule"].annotation
    classes = {entry.name: load("defense", entry.name) for entry in entries("defense")}
    chosen = {
        name: field.annotation
        for name, cls in classes.items()
        if (field := cls.model_fields.get("schedule")) and isinstance(field.default, str)
    }
    assert {"ft", "fine_prune", "mcr", "neural_cleanse"} <= chosen.keys()
    assert {name for name, annotation in chosen.items() if annotation != wanted} == set()


@pytest.mark.parametrize("base", [Augmentation, Descent, FineTuning])
def test_methods_speak_of_what_a_recipe_has_with_its_types_and_ranges(
    base: type[Configurable],
) -> None:
    for name, field in base.model_fields.items():
        same = Recipe.model_fields[name]
        assert field.annotation == same.annotation, name
        assert limits(same).startswith(limits(field)), name
