"""Protocols: typed YAML whose slips are named, and whose traps are closed."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from benchbd.errors import ConfigError
from benchbd.matrices.plan import plan
from benchbd.running.protocol import Rule, load_protocol

GOOD = """
name: small
dataset: digits
model: [resnet_small, deepid]
recipe: {lr: 1e-3, epochs: 2}
seeds: [0, 1]
attacks: [clean, {name: badnet, params: {size: 2}}]
defenses: none
poison_ratios: [0.01, 0.1]
exclude:
  - {model: deepid, seed: 1}
  - {attack: clean, defense: [none]}
"""


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def loaded(text: str) -> Any:
        path = tmp_path / "small.yaml"
        path.write_text(text)
        return load_protocol(path)

    return loaded


def test_everything_in_one_file(load: Any) -> None:
    protocol = load(GOOD)
    assert protocol.id == "small@1"
    assert [choice.name for choice in protocol.models] == ["resnet_small", "deepid"]
    assert protocol.params_of("attack", "badnet") == {"size": 2}
    assert protocol.params_of("attack", "clean") == protocol.params_of("attack", "unheard_of") == {}
    assert protocol.poison_ratios == (0.01, 0.1)
    assert protocol.recipe.lr == 0.001, "YAML reads 1e-3 as a text"


@pytest.mark.parametrize(
    ("wanted", "coordinates"),
    [
        (True, {"model": "resnet_small", "attack": "badnet", "seed": 1}),
        (False, {"model": "deepid", "attack": "badnet", "seed": 1}),
        (True, {"model": "deepid", "attack": "badnet", "seed": 0}),
        (False, {"model": "resnet_small", "attack": "clean", "seed": 0}),
    ],
)
def test_rules_exclude_what_agrees_with_every_key(
    load: Any, wanted: bool, coordinates: dict[str, Any]
) -> None:
    assert (
        load(GOOD).wants(dataset="digits", defense="none", poison_ratio=0.1, **coordinates)
        is wanted
    )


def test_include_lets_in_what_fits_one_rule(load: Any) -> None:
    protocol = load(
        GOOD.partition("exclude")[0] + "include: [{attack: badnet, poison_ratio: 0.1}, {seed: [1]}]"
    )
    there = {"dataset": "digits", "model": "deepid", "defense": "none"}
    assert protocol.wants(**there, attack="badnet", poison_ratio=0.1, seed=0)
    assert protocol.wants(**there, attack="clean", poison_ratio=0.0, seed=1)
    assert not protocol.wants(**there, attack="badnet", poison_ratio=0.01, seed=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("seeds: [0, 1]", "sedes: [0]"), r"unknown key 'sedes'; did you mean 'seeds'\?"),
        (
            ("params: {size: 2}", "parms: {size: 2}"),
            r"unknown key 'attacks.1.parms'; did you mean 'params'\?",
        ),
        (("seed: 1}", "sed: 1}"), r"unknown key 'exclude.0.sed'; did you mean 'seed'\?"),
        (("{lr: 1e-3, epochs: 2}", ""), r"recipe: Input should be a valid dict.*got None"),
        (("epochs: 2", "epoch: 2"), r"recipe has no parameter 'epoch'; did you mean 'epochs'\?"),
        (("epochs: 2", "epochs: no"), r"expected epochs .*got False"),
        (("epochs: 2", "epochs: two"), r'expected epochs .*got "two"'),
        (("seeds: [0, 1]", "seeds: [yes, 1]"), "seeds takes no yes or no"),
        (("defenses: none", "defenses: [off]"), "defenses takes no yes or no"),
        (("defenses: none", "defenses: [{name: on}]"), "name takes no yes or no"),
        (("name: small", "name: no"), "name takes no yes or no"),
        (("seeds: [0, 1]", "threads: on"), "threads takes no yes or no"),
        (("seeds: [0, 1]", "seeds: [zero]"), "seeds.0: .*got 'zero'"),
        (("seeds: [0, 1]", "clean_budget: 5"), "clean_budget: .*got 5"),
        (
            ("attack: clean, defense", "attack: clan, defense"),
            r"speaks of the attack 'clan'; did you mean 'clean'\?",
        ),
        (("deepid, seed: 1", "deepid, seed: 7"), r"a rule speaks of the seed 7; there is 0, 1$"),
        (
            ("{attack: clean, defense: [none]}", "{poison_ratio: [0.1, 0.2]}"),
            r"the poison_ratio 0\.2; there is 0\.01, 0\.1, 0\.0$",
        ),
        (("seeds: [0, 1]", "seeds: [0]\nseeds: [1]"), "key 'seeds' is given twice"),
        (
            ("epochs: 2", "epochs: 010"),
            r"010 would be read as 8; write a plain number, or '010' in quotes.*(\n.*)*line 5",
        ),
        (("epochs: 2", "epochs: 1:30"), "1:30 would be read as 90; "),
        (("seeds: [0, 1]", "seeds: [12:30]"), "12:30 would be read as 750; "),
        (("seeds: [0, 1]", "time_limit: 1:30.5"), r"1:30\.5 would be read as 90\.5; "),
        (("seeds: [0, 1]", "-010: 1"), "-010 would be read as -8; "),
        (("dataset: digits", "dataset: !!python/object/apply:os.getcwd []"), "is not YAML"),
        (("dataset: digits", "dataset: [digits"), "is not YAML"),
    ],
)
def test_slips_are_named(load: Any, change: tuple[str, str], message: str) -> None:
    assert GOOD.count(change[0]) == 1
    with pytest.raises(ConfigError, match=message):
        load(GOOD.replace(*change))


def test_rules_speak_of_ratios_that_the_attacks_may_have(load: Any) -> None:
    of_ratios = GOOD.replace("{attack: clean, defense: [none]}", "{poison_ratio: [0, 0.1]}")
    assert not load(of_ratios).wants(attack="clean", poison_ratio=0.0), (
        "what poisons nothing stays at 0"
    )
    own = of_ratios.replace("poison_ratios: [0.01, 0.1]", "").replace("0.1]}", "0.3]}")
    assert not load(own).wants(attack="badnet", poison_ratio=0.3)


def test_anchors_and_merges_are_welcome(load: Any) -> None:
    text = GOOD.replace(
        "attacks: [clean, {name: badnet, params: {size: 2}}]",
        "attacks: [clean, {name: badnet, params: &p {size: 2}}]",
    )
    protocol = load(
        text.replace("defenses: none", "defenses: [none, {name: ft, params: {<<: *p, epochs: 1}}]")
    )
    assert protocol.params_of("defense", "ft") == {"size": 2, "epochs": 1}


@pytest.mark.parametrize("content", ["[1, 2]", "1: 2", ""])
def test_what_is_no_table_is_refused(load: Any, content: str) -> None:
    with pytest.raises(ConfigError, match="expected keys and values"):
        load(content)


BUNDLED = sorted(
    path.stem for path in (Path(__file__).parents[2] / "leaderboard" / "protocols").glob("*.yaml")
)


@pytest.mark.parametrize("name", BUNDLED)
def test_errata_seeds_are_counted_and_not_chosen(name: str) -> None:
    seeds = load_protocol(name).seeds
    assert seeds == tuple(range(len(seeds)))


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_protocols_can_be_planned(name: str) -> None:
    protocol = load_protocol(name)
    assert protocol.name == name and protocol.about
    cells = {
        (c.job.attack.record.label, c.defense.record.label, c.job.seed) for c in plan(protocol)
    }
    attacks, defenses = [a.called for a in protocol.attacks], [d.called for d in protocol.defenses]
    assert cells == {
        (attack, defense, seed)
        for attack, defense, seed in product(attacks, defenses, protocol.seeds)
        if not protocol.include
        or any(_fits(rule, attack, defense, seed) for rule in protocol.include)
    }
    assert {attack for attack, _, _ in cells} == set(attacks), "an attack that no rule lets in"
    assert {defense for _, defense, _ in cells} == set(defenses), "a defense that no rule lets in"


def _fits(rule: Rule, attack: str, defense: str, seed: int) -> bool:
    return (
        (not rule.attack or attack in rule.attack)
        and (not rule.defense or defense in rule.defense)
        and (not rule.seed or seed in rule.seed)
    )


def test_the_standard_of_the_field_is_what_its_tables_say() -> None:
    """SGD 0.01, 0.9, 5e-4, batch 128, a cosine over the 100 epochs trained; 10 % of the set
    poisoned, 5 % for the defender.
    """
    protocol = load_protocol("cifar10-standard")
    recipe = protocol.recipe
    assert (recipe.optimizer, recipe.lr, recipe.momentum, recipe.weight_decay) == (
        "sgd",
        0.01,
        0.9,
        5e-4,
    )
    assert (recipe.batch_size, recipe.epochs, recipe.schedule, recipe.horizon) == (
        128,
        100,
        "cosine",
        None,
    )
    assert (recipe.shift, recipe.flip) == (4, True)
    assert (protocol.clean_budget, protocol.seeds) == (0.05, (0, 1, 2))
    assert [d.called for d in protocol.datasets] == ["cifar10"] and [
        m.called for m in protocol.models
    ] == ["preact_resnet18"]
    for cell in plan(protocol):
        attack = cell.job.attack.record
        assert (attack.params["poison_ratio"], attack.params["target"]) == (
            0.0 if attack.name == "clean" else 0.1,
            0,
        )
        assert attack.params.get("ratio_of", "dataset") == "dataset"
        shown = cell.defense.record.params
        assert (shown.get("shift", 4), shown.get("flip", True)) == (4, True), (
            "defenses see images as training did"
        )


def test_names_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*No such file"):
        load_protocol(tmp_path / "nowhere.yaml")
    with pytest.raises(
        ConfigError, match=r"no protocol named 'digits-quik'; did you mean 'digits-quick'\?"
    ):
        load_protocol("digits-quik")
