"""The plan: which cells a protocol means, in which order, under which keys."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchbd.errors import ConfigError, PluginNotFound
from benchbd.matrices.plan import PlannedCell, Selection, plan


def _names(cell: PlannedCell) -> tuple[str, str, int]:
    return cell.job.attack.record.label, cell.defense.record.label, cell.job.seed


def test_every_cell_once_and_those_of_one_model_together(tiny: Any) -> None:
    cells = list(plan(tiny(attacks=["clean", "badnet"], defenses=["none", "jitter"], seeds=[3, 5])))
    assert [_names(cell) for cell in cells] == [
        ("clean", "none", 3),
        ("clean", "jitter", 3),
        ("clean", "none", 5),
        ("clean", "jitter", 5),
        ("badnet", "none", 3),
        ("badnet", "jitter", 3),
        ("badnet", "none", 5),
        ("badnet", "jitter", 5),
    ]
    assert len({cell.key for cell in cells}) == len({cell.result_name for cell in cells}) == 8
    assert len({cell.job.key for cell in cells}) == 4


def test_ratios_models_and_data_sets_multiply(tiny: Any) -> None:
    protocol = tiny(
        attacks=["clean", "badnet"],
        poison_ratios=[0.01, 0.1],
        model=["resnet_small", {"name": "resnet_small", "params": {"width": 4}}],
        dataset=[
            "digits",
            {"name": "digits", "params": {"size": 8}},
            {"name": "digits", "params": {"size": 12}},
        ],
    )
    stages = Counter(cell.job.attack.record.label for cell in plan(protocol))
    assert stages == {"clean": 6, "badnet": 12}, (
        "an attack that poisons nothing has one ratio: none"
    )


def test_a_class_may_be_named_and_means_its_number_in_each_data_set(
    tiny: Any, tmp_path: Path
) -> None:
    for name in ("ant", "bee"):
        for number in range(2):
            file = tmp_path / "train" / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8)).save(file)
    orders = (None, ["bee", "ant"])
    photos = [
        {"name": "imagefolder", "params": {"path": str(tmp_path), "class_order": order}}
        for order in orders
    ]
    protocols = [
        tiny(dataset=photos, attacks=[{"name": "badnet", "params": {"target": target}}])
        for target in ("bee", 1, 0)
    ]
    by_name, *by_number = ([cell.key for cell in plan(each)] for each in protocols)
    assert by_name == [by_number[0][0], by_number[1][1]]


def test_what_is_listed_twice_is_planned_once(tiny: Any) -> None:
    twice = [{"name": "badnet", "params": {"poison_ratio": 0.05}}, "badnet"]
    assert len(list(plan(tiny(attacks=twice, seeds=[0, 0], poison_ratios=[0.1])))) == 1


def test_rules_leave_cells_out(tiny: Any) -> None:
    protocol = tiny(
        attacks=["clean", "badnet"],
        defenses=["none", "jitter"],
        exclude=[{"attack": "clean", "defense": "jitter"}],
    )
    assert [_names(cell)[:2] for cell in plan(protocol)] == [
        ("clean", "none"),
        ("badnet", "none"),
        ("badnet", "jitter"),
    ]


def test_a_selection_is_a_part_with_the_same_keys(tiny: Any) -> None:
    protocol = tiny(attacks=["clean", "badnet"], defenses=["none", "jitter"], seeds=[0, 1, 2])
    part = list(plan(protocol, Selection(attacks=["badnet"], defenses=["jitter"], seeds=[2, 0])))
    assert [_names(cell) for cell in part] == [("badnet", "jitter", 0), ("badnet", "jitter", 2)]
    assert {cell.key for cell in part} <= {cell.key for cell in plan(protocol)}


def test_a_method_that_the_protocol_does_not_name_joins_it(tiny: Any) -> None:
    protocol = tiny(
        attacks=["clean", "badnet"], seeds=[0, 1], exclude=[{"attack": "clean", "defense": "none"}]
    )
    joined = list(plan(protocol, Selection(defenses=["jitter", "none"], seeds=[0])))
    assert [_names(cell) for cell in joined] == [
        ("clean", "jitter", 0),
        ("badnet", "none", 0),
        ("badnet", "jitter", 0),
    ]
    assert {cell.protocol for cell in joined} == {protocol.id}
    assert joined[1].key in {cell.key for cell in plan(protocol)}, "what is there keeps its key"
    assert [_names(cell) for cell in plan(protocol, Selection(["blended"]))] == [
        ("blended", "none", seed) for seed in (0, 1)
    ]


def test_it_joins_the_rules_that_list_several_of_its_kind(tiny: Any) -> None:
    several = {"attack": "badnet", "defense": ["none", "clp"]}
    protocol = tiny(
        attacks=["clean", "badnet"],
        defenses=["none", "clp"],
        include=[{"defense": "none"}, several],
    )
    assert [_names(cell)[:2] for cell in plan(protocol, Selection(defenses=["jitter"]))] == [
        ("badnet", "jitter")
    ]
    open_to_all = tiny(attacks=["clean", "badnet"], include=[{"seed": 0}])
    assert [_names(cell)[:2] for cell in plan(open_to_all, Selection(defenses=["jitter"]))] == [
        ("clean", "jitter"),
        ("badnet", "jitter"),
    ]


def test_a_name_that_nobody_has_is_refused(tiny: Any) -> None:
    message = r"has the defenses none; there is no defense named 'jiter'; did you mean 'jitter'\?"
    with pytest.raises(ConfigError, match=message):
        list(plan(tiny(), Selection(defenses=["jiter"])))


def test_the_order_of_words_is_no_part_of_a_key(tiny: Any) -> None:
    one = tiny(attacks=["clean", "badnet"], seeds=[0, 1], recipe={"epochs": 1, "lr": 0.1})
    other = tiny(seeds=[1, 0], attacks=["badnet", "clean"], recipe={"lr": 0.1, "epochs": 1})
    assert {cell.key for cell in plan(one)} == {cell.key for cell in plan(other)}


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": {"epochs": 2, "precision": "fp32"}},
        {"clean_budget": 0.1},
        {"version": 2},
        {"name": "other"},
        {"attacks": [{"name": "badnet", "params": {"size": 2}}]},
        {"model": "resnet_small"},
        {"dataset": "digits"},
        {"seeds": [1]},
    ],
)
def test_what_changes_results_changes_the_key(tiny: Any, change: dict[str, Any]) -> None:
    (cell,), (changed,) = plan(tiny()), plan(tiny(**change))
    assert cell.key != changed.key


def test_a_default_that_is_written_out_is_the_same_work(tiny: Any) -> None:
    (cell,), (same,) = (
        plan(tiny()),
        plan(tiny(model={"name": "resnet_small", "params": {"width": "4"}})),
    )
    assert cell.key == same.key


def test_a_defense_that_needs_a_poisoned_set_does_not_apply_to_training_controlled_attacks(
    tiny: Any,
) -> None:
    cells = plan(tiny(attacks=["own_training", "corner"], defenses=["retrains", "jitter"]))
    reasons = {_names(cell)[:2]: cell.excluded for cell in cells}
    assert "own_training controls training itself" in reasons.pop(("own_training", "retrains"))
    assert set(reasons.values()) == {""}


def test_a_plugin_that_is_not_there_is_named(tiny: Any) -> None:
    with pytest.raises(PluginNotFound, match=r"no attack named 'badnets'; did you mean 'badnet'\?"):
        list(plan(tiny(attacks=["badnets"])))
