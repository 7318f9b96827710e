"""Sweeps: one thing is varied, and everything else, keys included, is that of the protocol."""

from __future__ import annotations

from typing import Any

import pytest

from benchbd.errors import ConfigError
from benchbd.matrices.plan import Selection, plan
from benchbd.matrices.sweep import Axis
from benchbd.running.protocol import load_protocol

BADNET_FT = Selection(attacks=["badnet"], defenses=["none", "ft"])


def test_one_value_is_the_cell_of_the_matrix_key_by_key() -> None:
    base = load_protocol("digits-quick")
    (at,) = Axis.parse("poison_ratio=0.1").protocols(base, BADNET_FT)
    swept = {cell.result_name: cell.key for cell in plan(at)}
    matrix = {cell.result_name: cell.key for cell in plan(base, BADNET_FT)}
    assert swept == matrix and len(swept) == 2 * len(base.seeds)


def test_the_budget_is_given_in_images() -> None:
    """Of 1,797 digits 1,438 are there to train on."""
    base = load_protocol("digits-quick")
    found = Axis.parse("clean_images=50,100").protocols(base, BADNET_FT)
    assert [at.clean_budget for at in found] == pytest.approx([50 / 1438, 100 / 1438])
    with pytest.raises(ConfigError, match="1439 clean images are more than the 1438"):
        Axis.parse("clean_images=1439").protocols(base, BADNET_FT)


def test_a_range_of_targets_is_ten_attacks() -> None:
    base = load_protocol("digits-quick")
    found = Axis.parse("target=0..9").protocols(base, BADNET_FT)
    assert [at.attacks[0].params["target"] for at in found] == list(range(10))


def test_a_parameter_of_a_defense_leaves_the_undefended_model_alone() -> None:
    base = load_protocol("digits-quick")
    (at,) = Axis.parse("defense.epochs=3").protocols(base, BADNET_FT)
    none, ft = at.defenses
    assert "epochs" not in none.params and ft.params["epochs"] == 3


def test_a_model_is_named_with_its_variant() -> None:
    base = load_protocol("digits-quick")
    found = Axis.parse("model=resnet_small,timm:resnet18").protocols(base, BADNET_FT)
    assert [at.models[0].called for at in found] == ["resnet_small", "timm:resnet18"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("poison_ratio", "expected AXIS=VALUE"),
        ("poison_ratio=", "expected AXIS=VALUE"),
        ("posion_ratio=0.1", "did you mean 'poison_ratio'"),
        ("recipe.epochs=3", "no axis 'recipe.epochs'"),
    ],
)
def test_what_is_no_axis_is_refused(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Axis.parse(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("poison_ratio=2", "expected poison_ratio .* to be a float >= 0, <= 1"),
        ("attack.alhpa=0.1", "no parameter 'alhpa'"),
        ("clean_images=few", "expected whole numbers of clean images, got 'few'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_before_anything_runs(text: str, told: str) -> None:
    base: Any = load_protocol("digits-quick")
    with pytest.raises(ConfigError, match=told):
        Axis.parse(text).protocols(base, BADNET_FT)


def test_a_sweep_is_of_something() -> None:
    with pytest.raises(ConfigError, match="name what the sweep is of: --attack NAME"):
        Axis.parse("target=0,1").protocols(load_protocol("digits-quick"), Selection())
