"""The pretended device refuses what a GPU refuses, computes what the CPU computes, and everything
bundled works on it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchbd.plugin.loose import classes_in
from benchbd.plugin.registry import entries
from benchbd.testing.check import CHECKS
from benchbd.testing.runner import run_check
from benchbd.testing.subject import Subject
from benchbd.testing.tiny_data import ARCHITECTURES

pytestmark = pytest.mark.slow

METHODS = """
import json, sys
from benchbd.plugin.registry import load
from benchbd.testing.checks.device import outcome
from benchbd.testing.subject import Subject
for name in sys.argv[2:]:
    plugin = Subject(load(*name.split("."))).plugin
    outcomes = (outcome(plugin, architecture) for architecture in sys.argv[1].split(","))
    first = next((found for found in outcomes if found["status"] != "not seen"), None)
    print(json.dumps([name, first]), flush=True)
"""


PLUGIN = """
import torch
from benchbd.api import Repair


class Mine(Repair):
    api = 1

    def repair(self, model, clean, rng):
        weight = model.head.weight
        {line}
        return model.eval()


def swallowed(work):
    try:
        work()
    except RuntimeError:
        raise ValueError("something is wrong")
"""


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "facts_from_pretended_device.py")],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_refuses_what_a_gpu_refuses(facts: dict[str, Any]) -> None:
    errors = facts["refused"]
    assert [name for name, error in errors.items() if not error] == []
    draws, numpy = (
        [name for name in errors if "generator" in name or "permutation" in name],
        ["numpy", "numpy by itself"],
    )
    assert all("generator of the CPU" in errors[name] for name in draws)
    assert all("cpu()" in errors[name] for name in numpy)
    assert all(
        "two devices" in error for name, error in errors.items() if name not in (*draws, *numpy)
    )


def test_it_does_what_a_gpu_does(facts: dict[str, Any]) -> None:
    assert facts["allowed"] == {
        "a number of the CPU": 78,
        "places of the CPU": [[9, 10, 11], [0, 1, 2]],
        "a mask of the CPU": [[3, 4, 5]],
        "a list of places": [[0, 0, 0], [3, 4, 5], [0, 0, 0], [9, 10, 11]],
        "a copy from the CPU": [[0, 1, 2], [7, 7, 7], [6, 7, 8], [9, 10, 11]],
        "there and back": 66,
        "a gradient": [[18, 22, 26]],
        "rows in inference mode": [3, 12, 21, 30],
        "in place through a view": [0, 0, 2],
        "devices of all": ["elsewhere:0"],
        "chosen by itself": False,
    }


def test_training_evaluation_and_sweeps_give_what_they_give_on_the_cpu(
    facts: dict[str, Any],
) -> None:
    assert (facts["same weights"], facts["same predictions"], facts["same sweep"]) == (
        True,
        True,
        True,
    )


def test_no_step_of_training_waits_for_the_device(facts: dict[str, Any]) -> None:
    waits = facts["waits"]
    assert (
        waits["training in 12 steps"]
        == waits["training in 6 steps"]
        == waits["training in 2 steps"]
    )
    assert waits["evaluation"] == 1  # for the predictions


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("torch.Generator(device=weight.device)", "skipped"),
        ("1 / 0 if weight.device.type == 'elsewhere' else 0", "skipped"),
        ("weight + torch.ones(weight.shape)", "failed"),
        ("swallowed(lambda: weight + torch.ones(weight.shape))", "failed"),
        ("weight + torch.ones(())", "passed"),
    ],
)
def test_only_what_a_gpu_refuses_is_held_against_a_plugin(
    line: str, status: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN.format(line=line))
    (cls,) = classes_in(tmp_path / "mine.py")
    (device,) = [check for check in CHECKS if check.name == "another_device_works"]
    result = run_check(device, Subject(cls))
    assert result.status == status, result
    assert (
        "aten.add.Tensor met tensors of two devices: (4, 16) of elsewhere" in result.message
    ) == (status == "failed"), result


def test_every_bundled_method_works_on_another_device() -> None:
    """On the first architecture to which it applies."""
    bundled = [
        e
        for kind in ("attack", "defense", "model")
        for e in entries(kind)
        if e.provider == "benchbd"
    ]
    names = [f"{e.kind}.{e.name}" for e in bundled if e.card.get("role") != "imported"]
    program = [sys.executable, "-c", METHODS, ",".join(ARCHITECTURES)]
    halves = [
        subprocess.Popen([*program, *half], stdout=subprocess.PIPE, text=True)
        for half in (names[::2], names[1::2])
    ]
    lines = [line for half in halves for line in half.communicate()[0].splitlines()]
    assert dict(map(json.loads, lines)) == {name: {"status": "passed"} for name in names}
