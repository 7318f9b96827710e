"""Sensitivity studies: which values are tried, what the scores are, and one small study from end to
end.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import CliRunner

from benchbd.api import Repair, param
from benchbd.cli.sensitivity import command
from benchbd.errors import ConfigError
from benchbd.matrices.sensitivity import stabilities, study, variations
from benchbd.measure.shares import Metrics
from benchbd.record.cell import Cell
from benchbd.record.ingredients import Coordinates
from benchbd.record.plugin_record import PluginRecord
from benchbd.running.protocol import load_protocol


class Tunable(Repair):
    api = 1
    name = "tunable"

    share: float = param(0.5, "closed at both ends", ge=0, le=1)
    rate: float = param(0.1, "open above", gt=0)
    rounds: int = param(2, "whole", ge=1)
    way: Literal["up", "down"] = param("up", "one of two")
    eager: bool = param(False, "yes or no")
    where: str = param("here", "has no neighbours")

    def repair(self, model: Any, clean: Any, rng: Any) -> Any:
        return model


def test_which_values_are_tried() -> None:
    tried: dict[str, list[Any]] = {}
    for name, value in variations(Tunable()):
        tried.setdefault(name, []).append(value)
    assert tried == {
        "share": [0.0, 0.25, 0.75, 1.0],
        "rate": [0.025, 0.05, 0.2, 0.4],
        "rounds": [1, 4, 8],
        "way": ["down"],
        "eager": [True],
    }


class Grown(Tunable):
    api = 1
    name = "grown"
    later = ("way",)


@pytest.mark.parametrize(("own", "other"), [("up", "down"), ("down", "up")])
def test_a_parameter_that_came_later_is_compared_with_its_default(own: Any, other: Any) -> None:
    made, varied = Grown(way=own), Grown(way=other)
    cells = [cell(90, 1, 0, **made.params), cell(80, 1, 0, **varied.params)]
    (found,) = stabilities(cells, made)
    assert (found.parameter, found.own) == ("way", own)
    assert {point.value: point.acc for point in found.points} == {own: 90, other: 80}


def cell(acc: float, asr: float, seed: int, **params: Any) -> Cell:
    def provided(name: str, **given: Any) -> PluginRecord:
        return PluginRecord(name=name, provider="p", version="1", results_version=1, params=given)

    about = Coordinates(
        dataset=provided("d"),
        model=provided("m"),
        attack=provided("a"),
        defense=provided("tunable", **Tunable(**params).params),
        recipe={},
        clean_budget=0.1,
        seed=seed,
    )
    return Cell(
        schema=1, key="k", protocol="p@1", cell=about, metrics=Metrics(acc=acc, asr=asr, rc=0.0)
    )


def test_scores_by_hand() -> None:
    """rate: changes 0.1, 0.2 and 0.0, 0.4 of the two seeds, mean 0.175; rounds: 0.02 and 0.0, mean
    0.01.
    """
    cells = [
        cell(0.9, 0.1, 0),
        cell(0.8, 0.2, 1),
        cell(0.8, 0.3, 0, rate=0.2),
        cell(0.8, 0.6, 1, rate=0.2),
        cell(0.88, 0.1, 0, rounds=4),
    ]
    first, second = stabilities(cells, Tunable())
    assert (first.parameter, second.parameter) == ("rate", "rounds")
    assert first.score == pytest.approx(0.175) and second.score == pytest.approx(0.01)
    assert [(point.value, point.measured) for point in first.points] == [(0.1, 2), (0.2, 2)]
    assert first.points[0].acc == pytest.approx(0.85) and first.points[1].asr == pytest.approx(0.45)


def test_a_defense_without_parameters_is_refused() -> None:
    with pytest.raises(ConfigError, match="no parameter that could be varied"):
        study(load_protocol("digits-quick"), ["badnet"], "none")


@pytest.mark.slow
def test_a_study_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(
        "name: tiny\ndataset: {name: digits, params: {size: 8}}\nmodel: {name: resnet_small, "
        "params: {width: 2}}\n"
        "recipe: {epochs: 1}\nclean_budget: 0.2\nattacks: [clean, badnet]\n"
        "defenses: [{name: ./my.py, params: {}}]\n"
    )
    Path("my.py").write_text(
        '"""Halve the head."""\nimport torch\nfrom benchbd.api import Repair, param\n\n\nclass '
        "My(Repair):\n    api = 1\n"
        '    factor: float = param(0.5, "of the head", ge=0, le=1)\n\n    def repair(self, model, '
        "clean, rng):\n"
        "        with torch.no_grad():\n            model.head.weight.mul_(self.factor)\n        "
        "return model.eval()\n"
    )
    words = ["./my.py", "--protocol", "tiny.yaml", "--executor", "inprocess"]
    done = CliRunner().invoke(command, [*words, "--json"], catch_exceptions=False)
    (factor,) = json.loads(done.stdout)["parameters"]
    assert [point["value"] for point in factor["points"]] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert all(point["measured"] == 1 for point in factor["points"])
    again = CliRunner().invoke(command, words, catch_exceptions=False)
    assert "my.py against badnet" in again.output
    assert Path("sensitivity/my.png").read_bytes().startswith(b"\x89PNG")
