"""What a defense leaves behind in the process changes nothing of the next one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import benchbd
from benchbd.record.attack_result import AttackResult
from benchbd.record.cell import Cell

LEAVES: dict[str, tuple[str, str]] = {
    "default dtype": ("torch.set_default_dtype(torch.float64)", "default dtype"),
    "threads": ("torch.set_num_threads(torch.get_num_threads() + 1)", "number of threads"),
    "matmul": ("torch.set_float32_matmul_precision('medium')", "float32 matmul precision"),
    "no gradients": ("torch.set_grad_enabled(False)", "grad mode"),
    "inference": ("global KEPT; KEPT = torch.inference_mode(); KEPT.__enter__()", "inference mode"),
    "autocast": (
        "global KEPT; KEPT = torch.autocast('cpu', torch.bfloat16); KEPT.__enter__()",
        "autocast",
    ),
    "flushing": ("torch.set_flush_denormal(True)", "flushing of denormal numbers"),
    "loss": (
        "real = torch.nn.functional.cross_entropy\n"
        "        torch.nn.functional.cross_entropy = lambda *a, **k: real(*a, **k) * 0.001",
        "torch.nn.functional.cross_entropy",
    ),
    "layer": (
        "torch.nn.Linear.forward = lambda self, x: x.new_zeros(len(x), self.out_features)",
        "torch.nn.modules.linear.Linear.forward",
    ),
    "optimizer": (
        "torch.optim.SGD.zero_grad = lambda self, **k: None",
        "torch.optim.sgd.SGD.zero_grad",
    ),
    "measuring": (
        "import benchbd.measure.counting as m\n"
        "        import benchbd.defense.evaluation as e\n"
        "        e.predict = lambda model, images, **k: torch.zeros(len(images), dtype=torch.long)",
        "benchbd.defense.evaluation.predict",
    ),
    "hook": (
        "torch.nn.modules.module.register_module_forward_hook(lambda m, i, o: o * 0)",
        "hooks of all modules and optimizers",
    ),
    "folder": ("import os; os.makedirs('elsewhere'); os.chdir('elsewhere')", "working directory"),
    "umask": ("import os; os.umask(0o777)", "umask"),
    "environment": ("import os; os.environ['BENCHBD_PRECISION'] = 'bf16'", "BENCHBD_PRECISION"),
    "warnings": ("import warnings; warnings.simplefilter('ignore')", "filters of all warnings"),
}
"""What a careless or a hostile method does, and how that is called in what is told of it."""

PLUGIN = """
import torch
from benchbd.api import Repair

class Leaves(Repair):
    api = 1
    def repair(self, model, clean, rng):
        {act}
        {end}
"""
ATTACK = """
import os
import torch
from benchbd.api import PoisoningAttack

class Careless(PoisoningAttack):
    api = 1
    def stamp(self, images, labels, rng):
        torch.set_default_dtype(torch.float64)
        os.chdir('/')
        images = images.clone()
        images[..., :2, :2] = 255
        return images
"""
NEXT = {"defense.epochs": 1}


@pytest.fixture
def here(stored: AttackResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(stored.folder, tmp_path / "record" / "kept")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outcome(cell: Cell) -> Any:
    assert cell.status.code == "ok", cell.status
    return cell.key, cell.counts, cell.metrics, cell.doubts, cell.predictions


@pytest.fixture(scope="module")
def alone(stored: AttackResult, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The second defense, when it runs alone."""
    folder = tmp_path_factory.mktemp("alone") / "kept"
    shutil.copytree(stored.folder, folder)
    return outcome(benchbd.run(defense="ft", result_file=folder, settings=NEXT).cells[0])


@pytest.mark.slow
@pytest.mark.parametrize("end", ["return model.eval()", "raise ValueError('broken')"])
@pytest.mark.parametrize("what", LEAVES)
def test_the_next_defense_comes_to_the_same_numbers(
    what: str, end: str, here: Path, alone: Any
) -> None:
    act, told = LEAVES[what]
    (here / "leaves.py").write_text(PLUGIN.format(act=act, end=end))
    with pytest.warns(UserWarning, match=rf"leaves left the process otherwise .*{told}"):
        run = benchbd.run(defense=["./leaves.py", "ft"], result_file="kept", settings=NEXT)
    first, second = run.cells
    assert outcome(second) == alone
    assert (here / "record/kept/defense/ft/defense_result.pt").is_file()
    if first.status.code == "ok":
        assert first.metrics == first.baseline.model_copy(update={"der": first.metrics.der})
        assert any(told in doubt and "leaves left" in doubt for doubt in first.doubts)
    assert (torch.get_default_dtype(), Path.cwd()) == (torch.float32, here)


@pytest.mark.slow
def test_an_attack_leaves_the_process_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stamps training images first, then the test images."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "careless.py").write_text(ATTACK)
    tiny = {"recipe.epochs": 1, "recipe.precision": "fp32", "model.width": 4, "dataset.size": 8}
    with pytest.warns(UserWarning, match=r"careless left .*default dtype, working directory"):
        run = benchbd.run("./careless.py", "none", settings=tiny, name="kept")
    assert [cell.status.code for cell in run.cells] == ["ok"]
    assert (torch.get_default_dtype(), Path.cwd()) == (torch.float32, tmp_path)
    assert (tmp_path / "record/kept/attack_result.pt").is_file()


def test_a_plugin_that_is_imported_changes_nothing_for_the_others(here: Path, alone: Any) -> None:
    text = PLUGIN.format(act="pass", end="return model.eval()")
    text += "\ntorch.set_default_dtype(torch.float64)\nimport os\nos.umask(0o777)\nos.chdir('/')\n"
    (here / "leaves.py").write_text(text)
    run = benchbd.run(defense=["./leaves.py", "ft"], result_file="kept", settings=NEXT)
    assert outcome(run.cells[1]) == alone
    assert (torch.get_default_dtype(), Path.cwd()) == (torch.float32, here)
