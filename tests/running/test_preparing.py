"""What a run is made of before any work is done: jobs, folders, threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from benchbd.engine.cores import usable_cores
from benchbd.errors import ConfigError
from benchbd.plugin.hooks import Observers
from benchbd.running.options import RunOptions
from benchbd.running.preparing import PreparedRun, prepare
from benchbd.running.run import execute
from support.tiny_matrix import TINY


def prepared(**options: Any) -> PreparedRun:
    return prepare(RunOptions(**{"attack": "badnet"} | options))


def threads(**options: Any) -> int:
    made = prepared(**options)
    return made.threads(made.jobs[0][0].ingredients)


def test_every_attack_meets_every_seed_once() -> None:
    made = prepared(attack=["badnet", "sig"], seed=[1, 0, 1], settings={"attack.delta": 30})
    pairs = [(job.attack.name, job.seed) for job, _ in made.jobs]
    assert pairs == [("badnet", 1), ("badnet", 0), ("sig", 1), ("sig", 0)]
    assert made.jobs[2][0].attack.params["delta"] == 30, "a setting that fits one of them"
    assert len({folder for _, folder in made.jobs}) == 4


def test_one_name_is_for_one_attack_result() -> None:
    assert prepared(name="mine").jobs[0][1].name == "mine"
    with pytest.raises(ConfigError, match=r"--name: expected one attack .*got 2 attack"):
        prepared(name="mine", seed=[0, 1])


def test_threads_of_a_protocol_are_for_its_own_data_set_and_model() -> None:
    """digits-quick computes its tiny network on one core."""
    assert threads() == threads(dataset="digits", model="resnet_small") == 1
    assert threads(model="resnet9") == usable_cores()
    settings = {"dataset.path": "photographs"}
    assert threads(dataset="imagefolder", settings=settings) == usable_cores()
    assert threads(threads=7) == threads(model="resnet9", threads=7) == 7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"attack": "badnet"}, "leave out --attack"),
        ({"seed": 0}, "leave out --seed"),
        ({"name": "mine"}, "leave out --name"),
        ({"rerun": "attack"}, "leave out --rerun attack"),
        ({"settings": {"recipe.epochs": 1}}, "leave out --set recipe.epochs"),
    ],
)
def test_a_stored_result_has_all_but_its_defenses(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        prepare(RunOptions(result_file="stored", **options))
    assert prepare(RunOptions(result_file="stored", rerun="defense")).jobs == ()


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Any]:
    """Settings for a data set of 3 classes, of which each split has 5 images."""
    for half in ("train", "test"):
        for number, name in enumerate(("ant", "bee", "10")):
            for k in range(5):
                file = tmp_path / half / name / f"{k}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (16, 16), 40 * number + k).save(file)
    return {"dataset.path": str(tmp_path), "dataset.grey": True}


def test_a_target_may_be_given_by_name(photos: dict[str, Any]) -> None:
    def made(target: object) -> Any:
        return prepared(dataset="imagefolder", settings=photos | {"attack.target": target})

    jobs = [made(target).jobs[0][0] for target in ("bee", "2", 2)]
    assert [job.attack.target for job in jobs] == [2, 2, 2]
    assert len({job.key for job in jobs}) == 1
    with pytest.raises(ConfigError, match=r"attack\.target: .* one of 10, ant, bee, got 'dog'"):
        made("dog")


@pytest.mark.parametrize("several", ["[bee, 1]", ["bee", "ant"], [2, 1]])
def test_further_targets_may_be_given_by_name(photos: dict[str, Any], several: object) -> None:
    settings = photos | {"attack.more_targets": several}
    (job, _) = prepared(dataset="imagefolder", settings=settings).jobs[0]
    assert job.attack.params["more_targets"] == [2, 1]


def test_a_target_of_the_protocol_may_be_a_name(photos: dict[str, Any], tmp_path: Path) -> None:
    content = TINY | {"attacks": [{"name": "badnet", "params": {"target": "bee"}}]}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    made = prepared(protocol=tmp_path / "own.yaml", dataset="imagefolder", settings=photos)
    assert made.jobs[0][0].attack.target == 2


def test_a_budget_that_cannot_be_drawn_is_refused_before_training(
    photos: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = prepared(
        dataset="imagefolder",
        defense="ft",
        settings=photos | {"defense.ratio": 0.1, "attack.poison_ratio": 0.2},
    )
    with pytest.raises(ConfigError, match=r"raise the budget to 0\.3 "):
        execute(made, Observers())
    assert not (tmp_path / "record").exists() or not list((tmp_path / "record").iterdir())
