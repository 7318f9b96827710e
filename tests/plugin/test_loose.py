"""A plugin in a file of its own, without any packaging."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchbd import matrix, run
from benchbd.errors import ContractBroken, PluginError, PluginNotFound, UnsafeFile
from benchbd.plugin.loose import place_of, version_of_content
from benchbd.plugin.provenance import name_for
from benchbd.plugin.registry import create, find, load
from benchbd.record.attack_result import load_attack_result
from benchbd.running.protocol import load_protocol

DEFENSE = '''"""Shrink the head."""
import torch
from benchbd.api import Repair, param

class Shrink(Repair):
    api = 1
    factor: float = param(0.5, "what the weights of the head are multiplied with", gt=0, le=1)

    def repair(self, model, clean, rng):
        with torch.no_grad():
            model.head.weight.mul_(self.factor)
            model.head.bias.mul_(self.factor)
        return model.eval()
'''
MODEL = '''"""Brightness alone."""
from torch import nn
from benchbd.api import Model

class Tiny(Model):
    api = 1

    def build(self, num_classes, image_shape):
        return Network(num_classes)

class Network(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.head = nn.Linear(3, classes)

    def features(self, images):
        return self.conv(images).mean((2, 3))
'''
TINY = {"recipe.epochs": 1, "dataset.size": 8, "attack.size": 2}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_defense.py").write_text(DEFENSE)
    (tmp_path / "my_model.py").write_text(MODEL)
    return tmp_path


@pytest.mark.parametrize("name", ["my_defense.py", "./my_defense.py", "./my_defense.py:Shrink"])
def test_a_file_is_a_plugin(here: Path, name: str) -> None:
    plugin = create("defense", name, {"factor": 0.25})
    assert (plugin.name, plugin.params["factor"]) == ("my_defense", 0.25)
    assert (
        name_for(type(plugin)) == place_of(type(plugin)) == f"{here.resolve()}/my_defense.py:Shrink"
    )
    assert load("defense", name_for(type(plugin))) is type(plugin)
    entry = find("defense", name)
    assert (entry.name, entry.provider, entry.version) == (
        "my_defense",
        "local file",
        version_of_content(DEFENSE.encode()),
    )


def test_a_changed_file_is_another_plugin(here: Path) -> None:
    before = load("defense", "my_defense.py")
    (here / "my_defense.py").write_text(DEFENSE.replace("0.5,", "0.75,"))
    after = load("defense", "my_defense.py")
    assert before is not after
    assert (before().params["factor"], after().params["factor"]) == (0.5, 0.75)


@pytest.mark.slow
def test_a_file_may_import_the_file_beside_it(here: Path) -> None:
    (here / "part.py").write_text("FACTOR = 0.125\n")
    (here / "my_defense.py").write_text(
        DEFENSE.replace("import torch\n", "import torch\nfrom .part import FACTOR\n").replace(
            "0.5,", "FACTOR,"
        )
    )
    assert create("defense", "my_defense.py").params["factor"] == 0.125


OTHER = (
    DEFENSE
    + "\nclass Other(Repair):\n    api = 1\n    name = 'other'\n    repair = Shrink.repair\n"
)


@pytest.mark.parametrize(
    ("source", "name", "error", "message"),
    [
        (
            None,
            "absent.py",
            PluginNotFound,
            "no file .*absent.py; a plugin in a file is named by its path",
        ),
        (
            "x = 1",
            "my.py",
            PluginNotFound,
            "holds no defense; write a class that derives from a defense family",
        ),
        (
            DEFENSE,
            "my.py:Shrimp",
            PluginNotFound,
            "holds no defense 'Shrimp'; did you mean 'Shrink'",
        ),
        (
            OTHER,
            "my.py",
            PluginError,
            "several defenses; name the one you mean: my.py:Shrink, my.py:Other",
        ),
        (
            OTHER.replace("    name = 'other'\n", ""),
            "my.py:Other",
            ContractBroken,
            "several defenses are called 'my'; state `name",
        ),
        ("1/0", "my.py", PluginError, "cannot be imported: ZeroDivisionError"),
        ("raise SystemExit(4)", "my.py", PluginError, "cannot be imported: SystemExit: 4"),
        ("def", "my.py", PluginError, "cannot be imported: SyntaxError"),
        (DEFENSE.replace("api = 1", "api = 99"), "my.py", ContractBroken, "api 99"),
        (DEFENSE, "my.first.py", ContractBroken, "its name has a dot before .py; rename it"),
    ],
)
def test_what_is_wrong_with_a_file(
    here: Path, source: str | None, name: str, error: type[Exception], message: str
) -> None:
    if source is not None:
        (here / name.removesuffix(":Shrimp").removesuffix(":Other")).write_text(source)
    with pytest.raises(error, match=message):
        create("defense", name)


def test_one_of_several_is_named(here: Path) -> None:
    (here / "two.py").write_text(OTHER)
    assert load("defense", "two.py:Other").name == "other"


@pytest.mark.slow
def test_a_run_from_files_names_file_and_digest(here: Path) -> None:
    done = run("badnet", "./my_defense.py", model="./my_model.py", settings=TINY)
    cell = done.cells[0].cell
    assert (cell.defense.name, cell.defense.provider) == ("my_defense", "local file")
    assert cell.defense.version == version_of_content(DEFENSE.encode())
    assert cell.model.version == version_of_content(MODEL.encode())
    # a head that is scaled as a whole takes no other decisions
    assert done.cells[0].metrics.acc == done.attack.metrics().acc  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_stored_result_runs_no_file_that_nobody_named(here: Path) -> None:
    stored = run("badnet", "none", model="./my_model.py", settings=TINY).attack
    (here / "my_model.py").write_text(MODEL + "print('run!')\n")
    with pytest.raises(
        UnsafeFile,
        match="reading it would run that file; if you trust the file, name it: `--model ",
    ):
        load_attack_result(stored.path)
    again = run(defense="none", model="./my_model.py", result_file=stored.path)
    assert torch.equal(again.attack.clean_predictions, stored.clean_predictions)


PROTOCOL = """
name: mine
dataset: {name: digits, params: {size: 8}}
model: ./my_model.py
recipe: {epochs: 1}
clean_budget: 0.2
threads: 1
seeds: [0]
attacks: [{name: badnet, params: {size: 2}}]
defenses: [{name: ./my_defense.py:Shrink, params: {factor: 0.25}}]
"""


@pytest.mark.slow
def test_a_protocol_names_files_and_worker_processes_find_them(here: Path) -> None:
    (here / "mine.yaml").write_text(PROTOCOL)
    assert load_protocol("mine.yaml").defenses[0].name == "./my_defense.py:Shrink"
    table = matrix("mine.yaml", executor="local", workers=1)
    assert table[["model", "defense", "status"]].to_numpy().tolist() == [
        ["my_model", "my_defense", "ok"]
    ]
    assert (here / "leaderboard/results/mine/badnet/my_defense").is_dir()
    (here / "my_defense.py").write_text(DEFENSE + "\n")
    assert matrix("mine.yaml", executor="inprocess")["key"][0] != table["key"][0]


@pytest.mark.slow
def test_a_parameter_without_a_type(tmp_path: Path) -> None:
    file = tmp_path / "untyped.py"
    file.write_text(DEFENSE.replace("factor: float = param", "factor = param"))
    with pytest.raises(
        PluginError,
        match=r"untyped\.py cannot be imported: `factor` is .*; write `factor: float = param\(",
    ):
        load("defense", str(file))
